#include "core/run/changed_rate.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/optim/own_rate.h"
#include "core/run/run_spec.h"

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

}  // namespace gradd
