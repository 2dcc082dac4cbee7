#include "core/run/field_json.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/run/run_labels.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/json_util.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

std::string MessageJson(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  return google::protobuf::util::MessageToJsonString(message, &json, options).ok() ? json : "";
}

// Only whole messages can be printed: the list is what a message says that has nothing else,
// {"milestones":[...]}.
std::string ListJson(const Message& message, const FieldDescriptor* field) {
  if (message.GetReflection()->FieldSize(message, field) == 0) return "";
  const std::unique_ptr<Message> list(message.New());
  list->CopyFrom(message);
  std::vector<const FieldDescriptor*> others;
  list->GetReflection()->ListFields(*list, &others);
  for (const FieldDescriptor* other : others) {
    if (other != field) list->GetReflection()->ClearField(list.get(), other);
  }
  const std::string json = MessageJson(*list);
  const size_t colon = json.find(':');
  return colon == std::string::npos ? "" : json.substr(colon + 1, json.size() - colon - 2);
}

// In the order of their keys: equal ones have the same text.
std::string LabelsJson(const RunLabels& labels) {
  const std::map<std::string, std::string> sorted(labels.begin(), labels.end());
  std::vector<std::string> members;
  members.reserve(sorted.size());
  for (const auto& [key, value] : sorted) {
    members.push_back(
        absl::StrCat("\"", absl::CEscape(key), "\":\"", absl::Utf8SafeCEscape(value), "\""));
  }
  return members.empty() ? "" : absl::StrCat("{", absl::StrJoin(members, ","), "}");
}

}  // namespace

std::string FieldJson(const Message& message, absl::string_view path) {
  const std::pair<absl::string_view, absl::string_view> split =
      absl::StrSplit(path, absl::MaxSplits('.', 1));
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const field =
      message.GetDescriptor()->FindFieldByName(std::string(split.first));
  if (field == nullptr) return "";
  // The only map that there is.
  if (field->is_map()) return LabelsJson(static_cast<const v1::Run&>(message).labels());
  if (field->is_repeated()) return ListJson(message, field);
  if (field->has_presence() && !reflection.HasField(message, field)) return "";
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& value = reflection.GetMessage(message, field);
      if (!split.second.empty()) return FieldJson(value, split.second);
      return MessageJson(value);
    }
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrFormat("%.15g", reflection.GetDouble(message, field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return absl::StrFormat("%.7g", reflection.GetFloat(message, field));
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection.GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(reflection.GetInt64(message, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(reflection.GetUInt32(message, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(reflection.GetUInt64(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("\"", reflection.GetEnum(message, field)->name(), "\"");
    case FieldDescriptor::CPPTYPE_STRING:
      return absl::StrCat("\"", absl::CEscape(reflection.GetString(message, field)), "\"");
  }
  return "";
}

}  // namespace gradd
