#include "core/run/run_guard.h"

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/field_checker.h"

namespace gradd {
namespace {

constexpr double kDefaultRateFactor = 0.5;
constexpr int32_t kDefaultRollbacks = 3;
constexpr int32_t kMostRollbacks = 100;

}  // namespace

absl::Status ValidateGuard(const v1::DivergenceGuard& guard, bool server_keeps_runs) {
  FieldChecker fields("guard");
  fields.Enum("action", guard.action(), v1::DivergenceGuard::Action_IsValid(guard.action()),
              "DivergenceGuard.Action");
  if (guard.has_rate_factor()) fields.Real("rate_factor", guard.rate_factor(), kAboveZeroToOne);
  if (guard.most_rollbacks() < 0 || guard.most_rollbacks() > kMostRollbacks) {
    fields.Refuse("most_rollbacks",
                  absl::StrCat(guard.most_rollbacks(), " is outside [1, ", kMostRollbacks,
                               "]; 0 stands for ", kDefaultRollbacks));
  }
  GRADD_RETURN_IF_ERROR(fields.status());
  if (guard.action() == v1::DivergenceGuard::ACTION_ROLL_BACK && !server_keeps_runs) {
    return Error(absl::StatusCode::kFailedPrecondition, "NO_STATE_DIRECTORY",
                 "guard.action: ROLL_BACK, and the server has no state directory (gradd "
                 "--state-dir) with checkpoints to go back to; PAUSE needs none");
  }
  return absl::OkStatus();
}

double RateFactor(const v1::DivergenceGuard& guard) {
  return guard.has_rate_factor() ? guard.rate_factor() : kDefaultRateFactor;
}

int64_t MostRollbacks(const v1::DivergenceGuard& guard) {
  return guard.most_rollbacks() == 0 ? kDefaultRollbacks : guard.most_rollbacks();
}

}  // namespace gradd
