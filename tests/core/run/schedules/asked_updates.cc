#include "tests/core/run/schedules/asked_updates.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/field_mask_util.h"
#include "google/protobuf/util/message_differencer.h"

namespace gradd {

void AskedUpdates::Ask(Run* run, const v1::Run& values, const google::protobuf::FieldMask& mask) {
  const auto update = std::make_shared<Update>();
  update->values = values;
  update->mask = mask;
  asked_.push_back(update);
  run->Update({values, mask, "ada", [update](const absl::StatusOr<v1::Run>& answer) {
                 ++update->answers;
                 update->status = answer.status();
                 if (answer.ok()) update->run = *answer;
               }});
}

std::string AskedUpdates::Check() {
  for (; !asked_.empty() && asked_.front()->answers > 0; asked_.pop_front()) {
    std::string fault = CheckAnswer(*asked_.front());
    if (!fault.empty()) return fault;
  }
  const bool overtaken = std::any_of(asked_.begin(), asked_.end(),
                                     [](const auto& update) { return update->answers > 0; });
  return overtaken ? "a change is answered before the one that was asked for first" : "";
}

std::string AskedUpdates::CheckAnswer(const Update& update) {
  using google::protobuf::util::FieldMaskUtil;
  using google::protobuf::util::MessageDifferencer;
  const std::string name = absl::StrCat("a change of ", FieldMaskUtil::ToString(update.mask));
  if (update.answers > 1) return absl::StrCat(name, " is answered ", update.answers, " times");
  if (!update.status.ok()) return "";  // It leaves everything as it was.
  FieldMaskUtil::MergeOptions replace;
  replace.set_replace_message_fields(true);
  FieldMaskUtil::MergeMessageTo(update.values, update.mask, replace, &spec_);
  const bool same = MessageDifferencer::Equals(update.run.optimizer(), spec_.optimizer()) &&
                    MessageDifferencer::Equals(update.run.policy(), spec_.policy()) &&
                    update.run.schedule().learning_rate() == spec_.schedule().learning_rate() &&
                    update.run.max_steps() == spec_.max_steps();
  if (same) return "";
  return absl::StrCat(name, " has left ", update.run.optimizer().ShortDebugString(), " ",
                      update.run.policy().ShortDebugString(), " ",
                      update.run.schedule().learning_rate(), " ", update.run.max_steps(),
                      ", and not ", spec_.optimizer().ShortDebugString(), " ",
                      spec_.policy().ShortDebugString(), " ", spec_.schedule().learning_rate(), " ",
                      spec_.max_steps());
}

}  // namespace gradd
