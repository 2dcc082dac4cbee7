#include "core/run/run_spec.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/optim/own_rate.h"
#include "core/run/run_labels.h"
#include "core/schedule/schedule.h"
#include "core/step/step_policy.h"

namespace gradd {
namespace {

constexpr absl::Duration kDefaultLease = absl::Seconds(15);
constexpr int64_t kMaxSteps = int64_t{1} << 53;

}  // namespace

absl::Status ValidateRunId(absl::string_view run_id) {
  const auto allowed = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-';
  };
  if (run_id.empty() || run_id.size() > 63 ||
      !absl::ascii_islower(static_cast<unsigned char>(run_id.front())) || run_id.back() == '-' ||
      !std::all_of(run_id.begin(), run_id.end(), allowed)) {
    return Error(absl::StatusCode::kInvalidArgument, "RUN_ID_INVALID",
                 absl::StrCat("run_id: ", Quoted(run_id),
                              " is not 1 to 63 characters of [a-z0-9-] that start with a letter "
                              "and do not end with -"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ParseRunName(absl::string_view name) {
  absl::string_view run_id = name;
  if (!absl::ConsumePrefix(&run_id, "runs/") || !ValidateRunId(run_id).ok()) {
    return Error(absl::StatusCode::kInvalidArgument, "RUN_NAME_INVALID",
                 absl::StrCat("run name ", Quoted(name), " is not of the form runs/{run_id}"));
  }
  return std::string(run_id);
}

absl::Status ValidateWorkerId(absl::string_view worker) {
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (worker.empty() || worker.size() > 128 ||
      !std::all_of(worker.begin(), worker.end(), printable)) {
    return Error(absl::StatusCode::kInvalidArgument, "WORKER_ID_INVALID",
                 absl::StrCat("join.worker: ", Quoted(worker),
                              " is not 1 to 128 bytes of printable ASCII without spaces"));
  }
  return absl::OkStatus();
}

void FillLearningRate(v1::Run* run) {
  const std::optional<double> rate = OwnRate(run->optimizer().kind_case());
  if (rate.has_value() && !run->schedule().has_learning_rate()) {
    run->mutable_schedule()->set_learning_rate(*rate);
  }
}

absl::StatusOr<std::shared_ptr<UpdatePlan>> ValidateMutableFields(const v1::Run& run,
                                                                  const Layout& layout,
                                                                  int64_t block_elements,
                                                                  int threads,
                                                                  const Limits& limits) {
  auto plan = UpdatePlan::Create(layout, run.optimizer(), run.groups(), block_elements, threads);
  GRADD_RETURN_IF_ERROR(plan.status());
  GRADD_RETURN_IF_ERROR(ValidateSchedule(run.schedule()));
  if (CyclesMomentum(run.schedule()) && !(*plan)->follows_momentum()) {
    return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                 "schedule: its momentum is set, expected for optimizers alone whose momentum or "
                 "beta1 can follow: momentum, nesterov, rms_prop with a momentum, lars, adam, "
                 "adam_w, ams_grad, ada_max, ada_max_w and r_adam");
  }
  GRADD_RETURN_IF_ERROR(ValidatePolicy(run.policy(), limits.max_workers_per_run));
  if (run.max_steps() < 0 || run.max_steps() > kMaxSteps) {
    return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                 absl::StrCat("max_steps: ", run.max_steps(), " is outside [0, 2^53]"));
  }
  GRADD_RETURN_IF_ERROR(ValidateLabels(run.labels()));
  if (run.has_lease_duration()) {
    GRADD_RETURN_IF_ERROR(
        ParseDuration("lease_duration", run.lease_duration(), absl::Seconds(1), absl::Hours(1))
            .status());
  }
  return std::shared_ptr<UpdatePlan>(*std::move(plan));
}

absl::Duration LeaseDuration(const v1::Run& run) {
  return run.has_lease_duration() ? FromProto(run.lease_duration()) : kDefaultLease;
}

}  // namespace gradd
