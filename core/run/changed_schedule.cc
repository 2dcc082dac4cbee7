#include "core/run/changed_schedule.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/own_rate.h"
#include "core/run/run_spec.h"
#include "google/protobuf/util/message_differencer.h"

namespace gradd {
namespace {

bool Has(const google::protobuf::FieldMask& mask, const char* path) {
  return std::find(mask.paths().begin(), mask.paths().end(), path) != mask.paths().end();
}

std::optional<double> OwnRateOf(const v1::Run& run) { return OwnRate(run.optimizer().kind_case()); }

// Of the field that is set.
std::string NameOf(const google::protobuf::Message& message, const char* oneof) {
  const auto* const field = message.GetReflection()->GetOneofFieldDescriptor(
      message, message.GetDescriptor()->FindOneofByName(oneof));
  return field == nullptr ? "" : field->name();
}

// The shape and its warm-up.
v1::Schedule CurveOf(v1::Schedule schedule) {
  schedule.clear_learning_rate();
  schedule.clear_reduce_on_plateau();
  schedule.clear_begins_at();
  return schedule;
}

}  // namespace

absl::Status SettleLearningRate(const v1::Run& before, const google::protobuf::FieldMask& mask,
                                v1::Run* updated) {
  const std::optional<double> own = OwnRateOf(*updated);
  const bool given = Has(mask, "schedule") || Has(mask, "schedule.learning_rate");
  if (!given && own != OwnRateOf(before)) updated->mutable_schedule()->clear_learning_rate();
  FillLearningRate(updated);
  const v1::Schedule& schedule = updated->schedule();
  if (schedule.has_learning_rate()) return absl::OkStatus();
  if (!given && updated->optimizer().kind_case() != v1::Optimizer::KIND_NOT_SET) {
    return InvalidArgument(
        "OUT_OF_RANGE",
        absl::StrCat("schedule.learning_rate: not set, and the run's ",
                     before.schedule().learning_rate(), " is that of ",
                     NameOf(before.optimizer(), "kind"), ", which finds its step sizes itself; ",
                     "expected a rate for ", NameOf(updated->optimizer(), "kind"),
                     " in the same change"));
  }
  if (!Has(mask, "schedule")) return absl::OkStatus();  // Validated with all else.
  const std::string shape = NameOf(schedule, "shape");
  return InvalidArgument(
      "OUT_OF_RANGE",
      absl::StrCat("schedule.learning_rate: not set, and schedule is replaced whole; expected the "
                   "rate too, or one field instead of the whole, such as schedule.",
                   shape.empty() ? "learning_rate" : shape));
}

bool SettleBegin(const v1::Run& before, const google::protobuf::FieldMask& mask, v1::Run* updated) {
  v1::Schedule& schedule = *updated->mutable_schedule();
  const bool given =
      Has(mask, "schedule.begins_at") || (Has(mask, "schedule") && schedule.has_begins_at());
  if (given) return false;
  if (before.schedule().has_begins_at()) {
    schedule.set_begins_at(before.schedule().begins_at());
  }
  return !google::protobuf::util::MessageDifferencer::Equals(CurveOf(before.schedule()),
                                                             CurveOf(schedule));
}

absl::Status CheckBegin(const v1::Schedule& schedule, int64_t step) {
  if (schedule.begins_at() <= step) return absl::OkStatus();
  return InvalidArgument("OUT_OF_RANGE", absl::StrCat("schedule.begins_at: ", schedule.begins_at(),
                                                      " is above the run's present step ", step));
}

}  // namespace gradd
