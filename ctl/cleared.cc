#include "ctl/cleared.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/message.h"

namespace gradd::ctl {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void Compare(const Message& before, const Message& after, const std::string& path,
             std::vector<std::string>* cleared) {
  std::vector<const FieldDescriptor*> fields;
  before.GetReflection()->ListFields(before, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_repeated()) continue;
    const std::string name = absl::StrCat(path, ".", field->name());
    const auto& reflection = *after.GetReflection();
    // Without presence, a value that is the default one is no loss that can be seen.
    const bool kept = !field->has_presence() || reflection.HasField(after, field);
    if (!kept) {
      if (field->real_containing_oneof() == nullptr) cleared->push_back(name);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Compare(before.GetReflection()->GetMessage(before, field),
              reflection.GetMessage(after, field), name, cleared);
    }
  }
}

}  // namespace

std::vector<std::string> ClearedFields(const v1::Run& before, const v1::Run& after,
                                       absl::string_view path) {
  std::vector<std::string> cleared;
  const Message* old = &before;
  const Message* now = &after;
  for (const absl::string_view part : absl::StrSplit(path, '.')) {
    const FieldDescriptor* const field = old->GetDescriptor()->FindFieldByName(std::string(part));
    const bool message = field != nullptr && !field->is_repeated() &&
                         field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!message) return cleared;
    old = &old->GetReflection()->GetMessage(*old, field);
    now = &now->GetReflection()->GetMessage(*now, field);
  }
  Compare(*old, *now, std::string(path), &cleared);
  return cleared;
}

}  // namespace gradd::ctl
