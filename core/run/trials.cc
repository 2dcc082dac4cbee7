#include "core/run/trials.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr int kMaxTrials = 32;
constexpr int64_t kMaxTrialSteps = 20'000;
constexpr absl::Duration kDefaultIdleTimeout = absl::Minutes(1);
// A response stays far below the size of a message.
constexpr size_t kMaxStepsAtOnce = 10'000;
constexpr size_t kMaxIdLength = 63;

absl::Status Invalid(const std::string& message) {
  return InvalidArgument("TRIALS_INVALID", message);
}

// OK if the request makes sense, whatever its run is like.
absl::Status Check(const v1::RunTrialsRequest& request) {
  if (request.has_run() != request.name().empty()) {
    return Invalid("name and run: exactly one of them expected");
  }
  if (request.trials().empty() || request.trials_size() > kMaxTrials) {
    return Invalid(absl::StrCat("trials: ", request.trials_size(), " of them, 1 to ", kMaxTrials,
                                " expected"));
  }
  for (int i = 0; i < request.trials_size(); ++i) {
    const v1::Trial& trial = request.trials(i);
    if (trial.max_steps() < 1 || trial.max_steps() > kMaxTrialSteps) {
      return Invalid(absl::StrCat("trials[", i, "].max_steps: ", trial.max_steps(),
                                  " is outside [1, ", kMaxTrialSteps, "]"));
    }
    if (!trial.has_optimizer() && request.has_run()) {
      return Invalid(absl::StrCat("trials[", i,
                                  "].optimizer: not set, and there is no run on the "
                                  "server whose optimizer could go on"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<absl::Duration> IdleTimeout(const v1::RunTrialsRequest& request) {
  if (!request.has_idle_timeout()) return kDefaultIdleTimeout;
  return ParseDuration("idle_timeout", request.idle_timeout(), absl::Seconds(1), absl::Hours(1));
}

// How a trial that goes on stands when `news` is all that it has to say.
void Judge(const TrialLog::News& news, v1::TrialNews* message) {
  if (news.refusal.ok()) return;
  const std::string reason = ReasonOf(news.refusal);
  const bool diverged = reason == "NON_FINITE" || reason == "GRADIENT_TOO_LARGE";
  message->set_state(diverged ? v1::TRIAL_STATE_DIVERGED : v1::TRIAL_STATE_FAILED);
  message->set_message(std::string(news.refusal.message()));
}

}  // namespace

void Trials::Start(RunRegistry* registry, v1::RunTrialsRequest request, const std::string& caller,
                   Receiver receive) {
  absl::Status checked = Check(request);
  if (checked.ok()) checked = IdleTimeout(request).status();
  std::shared_ptr<Run> origin;
  if (checked.ok() && !request.has_run()) {
    auto found = registry->Find(request.name());
    checked = found.status();
    if (found.ok()) origin = *std::move(found);
  }
  CallerShares::Ticket runs;
  if (checked.ok()) {
    auto taken = registry->callers().trial_runs.Take(caller, request.trials_size());
    checked = taken.status();
    if (taken.ok()) runs = *std::move(taken);
  }
  if (!checked.ok()) return receive(checked);
  const auto create = [registry, origin, caller, runs, request = std::move(request),
                       receive = std::move(receive)](const absl::StatusOr<HeldRun>& held) {
    registry->pool()->Schedule(
        [=] { receive(Create(registry, request, origin, caller, runs, held)); });
  };
  if (origin != nullptr) {
    origin->Hold(create);
  } else {
    create(HeldRun());
  }
}

absl::StatusOr<std::unique_ptr<Trials>> Trials::Create(
    RunRegistry* registry, const v1::RunTrialsRequest& request, std::shared_ptr<Run> origin,
    const std::string& caller, CallerShares::Ticket runs, absl::StatusOr<HeldRun> held) {
  GRADD_RETURN_IF_ERROR(held.status());
  if (request.has_run()) held->spec = request.run();
  // From here on, its end is that of all trials.
  std::unique_ptr<Trials> trials(
      new Trials(registry, *IdleTimeout(request), std::move(origin), caller, std::move(runs)));
  std::vector<std::string> names;
  for (int i = 0; i < request.trials_size(); ++i) {
    const absl::Status added = trials->Add(request.trials(i), *held);
    if (!added.ok()) {
      return Error(added.code(), ReasonOf(added),
                   absl::StrCat("trials[", i, "]: ", added.message()));
    }
    names.push_back(absl::StrCat("runs/", trials->trials_.back().run->run_id()));
  }
  if (trials->origin_ != nullptr) trials->origin_->AnnounceTrials(std::move(names));
  return trials;
}

Trials::Trials(RunRegistry* registry, absl::Duration idle_timeout, std::shared_ptr<Run> origin,
               const std::string& caller, CallerShares::Ticket runs)
    : registry_(registry),
      idle_timeout_(idle_timeout),
      origin_(std::move(origin)),
      name_(origin_ == nullptr
                ? absl::StrCat("a run that ", caller, " tries out")
                : absl::StrCat("run \"", origin_->run_id(), "\", begun by ", caller)),
      runs_(std::move(runs)),
      moved_at_(registry->clock().Elapsed()) {}

Trials::~Trials() {
  for (const Trial& trial : trials_) registry_->Remove(trial.run.get());
  if (origin_ != nullptr) origin_->Release();
}

absl::Status Trials::Add(const v1::Trial& trial, const HeldRun& held) {
  v1::Run spec = held.spec;
  spec.clear_labels();
  spec.clear_data();  // Its batches are for its own steps.
  RunOrigin begin;
  begin.snapshot = held.snapshot;  // Null where there is no run.
  begin.trial_of = name_;
  if (trial.has_optimizer()) {
    *spec.mutable_optimizer() = trial.optimizer();
  } else {
    begin.plan = held.plan;
  }
  *spec.mutable_schedule() = trial.schedule();
  spec.set_max_steps(trial.max_steps());
  if (origin_ != nullptr && spec.policy().has_synchronous()) {
    // In lock-step: who is in a quorum would be another one in each.
    v1::Synchronous& synchronous = *spec.mutable_policy()->mutable_synchronous();
    synchronous.set_workers(held.connected_workers);
    synchronous.clear_quorum();
    synchronous.clear_grace_kind();
    synchronous.clear_late_pushes();
  }
  const std::string of = origin_ == nullptr ? "" : absl::StrCat(origin_->run_id(), "-");
  absl::StatusOr<std::shared_ptr<Run>> run;
  for (size_t number = 1; true; ++number) {
    const std::string end = absl::StrCat("trial-", number);
    run = registry_->Create(absl::StrCat(of.substr(0, kMaxIdLength - end.size()), end), spec,
                            /*request_id=*/"", &begin);
    if (ReasonOf(run.status()) != "RUN_EXISTS") break;
  }
  GRADD_RETURN_IF_ERROR(run.status());
  Trial added = {*run, std::make_shared<TrialLog>(moved_at_), false};
  added.run->RecordIn(added.log);
  trials_.push_back(std::move(added));
  return absl::OkStatus();
}

v1::RunTrialsResponse Trials::TakeNews() {
  v1::RunTrialsResponse response;
  if (!named_) {
    named_ = true;
    for (const Trial& trial : trials_) {
      response.add_names(absl::StrCat("runs/", trial.run->run_id()));
    }
    return response;
  }
  size_t left = kMaxStepsAtOnce;
  for (size_t i = 0; i < trials_.size(); ++i) {
    Trial& trial = trials_[i];
    if (trial.over) continue;
    // Before the log is read: all that it counts is in there.
    const bool finished = trial.run->Progress().state() == v1::RUN_STATE_FINISHED;
    const TrialLog::News news = trial.log->Take(left);
    left -= news.steps.size();
    v1::TrialNews message;
    message.set_trial(static_cast<int32_t>(i));
    for (const v1::TrialStep& step : news.steps) *message.add_steps() = step;
    message.set_state(v1::TRIAL_STATE_RUNNING);
    if (!news.more) {
      if (finished) {
        message.set_state(v1::TRIAL_STATE_FINISHED);
      } else {
        Judge(news, &message);
      }
    }
    trial.over = message.state() != v1::TRIAL_STATE_RUNNING;
    if (trial.over || !news.steps.empty()) *response.add_news() = std::move(message);
  }
  if (!response.news().empty()) moved_at_ = registry_->clock().Elapsed();
  return response;
}

bool Trials::over() const {
  return named_ &&
         std::all_of(trials_.begin(), trials_.end(), [](const Trial& trial) { return trial.over; });
}

absl::Status Trials::CheckAlive() const {
  if (origin_ != nullptr) {
    const auto found = registry_->Find(absl::StrCat("runs/", origin_->run_id()));
    GRADD_RETURN_IF_ERROR(found.status());
  }
  if (registry_->clock().Elapsed() - moved_at_ < idle_timeout_) return absl::OkStatus();
  return Error(absl::StatusCode::kDeadlineExceeded, "TRIALS_IDLE",
               absl::StrCat("no trial made a step for ", absl::FormatDuration(idle_timeout_),
                            "; do the run's workers train trials?"));
}

}  // namespace gradd
