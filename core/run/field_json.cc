#include "core/run/field_json.h"

#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/util/field_mask_util.h"
#include "google/protobuf/util/json_util.h"

namespace gradd {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

std::string Json(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  return google::protobuf::util::MessageToJsonString(message, &json, options).ok() ? json : "";
}

// The elements of a repeated field, as [...]; empty if there are none.
std::string ListJson(const Message& message, const FieldDescriptor* field) {
  const std::unique_ptr<Message> alone(message.New());
  google::protobuf::FieldMask mask;
  mask.add_paths(field->name());
  google::protobuf::util::FieldMaskUtil::MergeMessageTo(message, mask, {}, alone.get());
  const std::string json = Json(*alone);
  const std::string prefix = absl::StrCat("{\"", field->name(), "\":");
  if (!absl::StartsWith(json, prefix)) return "";
  return json.substr(prefix.size(), json.size() - prefix.size() - 1);
}

}  // namespace

std::string FieldJson(const Message& message, absl::string_view path) {
  const std::pair<absl::string_view, absl::string_view> split =
      absl::StrSplit(path, absl::MaxSplits('.', 1));
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const field =
      message.GetDescriptor()->FindFieldByName(std::string(split.first));
  if (field == nullptr) return "";
  if (field->is_repeated()) return ListJson(message, field);
  if (field->has_presence() && !reflection.HasField(message, field)) return "";
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& value = reflection.GetMessage(message, field);
      if (!split.second.empty()) return FieldJson(value, split.second);
      return Json(value);
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
