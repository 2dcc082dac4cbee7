#include "core/run/spec_difference.h"

#include "absl/strings/str_cat.h"
#include "core/run/field_json.h"
#include "core/run/run_labels.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace gradd {
namespace {

// All that a client sets; the layout apart, and `name`, which says which run it is.
constexpr const char* kSettings[] = {
    "optimizer", "schedule",    "policy",  "max_steps",         "seed",  "groups", "lease_duration",
    "labels",    "checkpoints", "journal", "journal_max_bytes", "guard", "data"};

class FieldComparison {
 public:
  explicit FieldComparison(bool only_set) : only_set_(only_set) {}

  void CompareField(const google::protobuf::Message& a, const google::protobuf::Message& b,
                    const google::protobuf::FieldDescriptor& field, const std::string& path) {
    if (only_set_ && !IsSet(a, field)) return;
    if (FieldJson(a, field.name()) == FieldJson(b, field.name())) return;
    const bool is_message = !field.is_repeated() &&
                            field.cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE;
    const bool both = is_message && a.GetReflection()->HasField(a, &field) &&
                      b.GetReflection()->HasField(b, &field);
    // Durations are values.
    const bool is_ours = both && field.message_type()->file()->package() == "gradd.v1";
    if (!is_ours) return paths_.push_back(path);
    Compare(a.GetReflection()->GetMessage(a, &field), b.GetReflection()->GetMessage(b, &field),
            path);
  }

  std::vector<std::string> TakePaths() { return std::move(paths_); }

 private:
  static bool IsSet(const google::protobuf::Message& message,
                    const google::protobuf::FieldDescriptor& field) {
    return field.is_repeated() ? message.GetReflection()->FieldSize(message, &field) > 0
                               : message.GetReflection()->HasField(message, &field);
  }

  void Compare(const google::protobuf::Message& a, const google::protobuf::Message& b,
               const std::string& path) {
    const google::protobuf::Descriptor& type = *a.GetDescriptor();
    for (int i = 0; i < type.real_oneof_decl_count(); ++i) {
      const auto* const kind = a.GetReflection()->GetOneofFieldDescriptor(a, type.oneof_decl(i));
      if (only_set_ && kind == nullptr) continue;
      if (kind != b.GetReflection()->GetOneofFieldDescriptor(b, type.oneof_decl(i))) {
        return paths_.push_back(path);
      }
    }
    for (int i = 0; i < type.field_count(); ++i) {
      CompareField(a, b, *type.field(i), absl::StrCat(path, ".", type.field(i)->name()));
    }
  }

  const bool only_set_;
  std::vector<std::string> paths_;
};

}  // namespace

std::vector<std::string> DifferentFields(const v1::Run& run, const v1::Run& other) {
  FieldComparison comparison(/*only_set=*/false);
  for (const char* const name : kSettings) {
    comparison.CompareField(run, other, *v1::Run::descriptor()->FindFieldByName(name), name);
  }
  return comparison.TakePaths();
}

std::vector<std::string> UnmetFields(const v1::Run& wanted, const v1::Run& found) {
  v1::Run present = found;
  if (HasLabels(found.labels(), wanted.labels())) *present.mutable_labels() = wanted.labels();
  FieldComparison comparison(/*only_set=*/true);
  comparison.CompareField(wanted, present, *v1::Run::descriptor()->FindFieldByName("layout"),
                          "layout");
  for (const char* const name : kSettings) {
    comparison.CompareField(wanted, present, *v1::Run::descriptor()->FindFieldByName(name), name);
  }
  return comparison.TakePaths();
}

}  // namespace gradd
