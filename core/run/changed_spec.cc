#include "core/run/changed_spec.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/run/changed_schedule.h"
#include "core/run/live_fields.h"
#include "core/run/run_spec.h"
#include "google/protobuf/util/field_mask_util.h"

namespace gradd {
namespace {

// Refuses paths into a kind of optimizer, schedule or policy that is not the run's: to set one
// field of it would replace the kind, with defaults for all others.
absl::Status CheckKinds(const google::protobuf::FieldMask& mask, const v1::Run& run) {
  for (const std::string& path : mask.paths()) {
    const google::protobuf::Message* message = &run;
    const std::vector<std::string> parts = absl::StrSplit(path, '.');
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto* const field = message->GetDescriptor()->FindFieldByName(parts[i]);
      const auto* const oneof = field->real_containing_oneof();
      const auto* const used =
          oneof == nullptr ? field
                           : message->GetReflection()->GetOneofFieldDescriptor(*message, oneof);
      if (used != field) {
        return Error(
            absl::StatusCode::kInvalidArgument, "MASK_INVALID",
            absl::StrCat(path, " belongs to the ", parts[0], " ", field->name(),
                         ", and this run's is ", used == nullptr ? "not set" : used->name()));
      }
      message = &message->GetReflection()->GetMessage(*message, field);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckUpdateMask(const google::protobuf::FieldMask& mask) {
  using google::protobuf::util::FieldMaskUtil;
  if (mask.paths().empty()) {
    return Error(absl::StatusCode::kInvalidArgument, "MASK_INVALID",
                 "update_mask: empty, at least one field expected");
  }
  for (const std::string& path : mask.paths()) {
    if (!IsLiveField(path) || !FieldMaskUtil::IsValidPath<v1::Run>(path)) {
      return Error(
          absl::StatusCode::kInvalidArgument, "MASK_INVALID",
          absl::StrCat("update_mask: ", Quoted(path), " is no field below ", kLiveFieldsText));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ChangedSpec> ChangeSpec(const v1::Run& before,
                                       const google::protobuf::FieldMask& mask,
                                       const v1::Run& values) {
  GRADD_RETURN_IF_ERROR(CheckKinds(mask, before));
  google::protobuf::util::FieldMaskUtil::MergeOptions replace;
  replace.set_replace_message_fields(true);
  replace.set_replace_repeated_fields(true);
  ChangedSpec changed{before, false};
  // Labels by hand: by its descriptor, a map is copied to a list and back.
  google::protobuf::FieldMask by_descriptor;
  for (const std::string& path : mask.paths()) {
    if (path == "labels") {
      *changed.spec.mutable_labels() = values.labels();
    } else {
      by_descriptor.add_paths(path);
    }
  }
  google::protobuf::util::FieldMaskUtil::MergeMessageTo(values, by_descriptor, replace,
                                                        &changed.spec);
  GRADD_RETURN_IF_ERROR(SettleLearningRate(before, mask, &changed.spec));
  changed.begins_anew = SettleBegin(before, mask, &changed.spec);
  *changed.spec.mutable_lease_duration() = ToProto(LeaseDuration(changed.spec));
  return changed;
}

}  // namespace gradd
