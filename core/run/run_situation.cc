// How a run stands, and what the log hears of it.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_condition.h"

namespace gradd {
namespace {

// How often the condition is looked at for the log, and how long a run may wait before it says so.
constexpr absl::Duration kLogInterval = absl::Seconds(1);
constexpr absl::Duration kLogPatience = absl::Seconds(30);
constexpr int kLogPaces = 3;  // And in the times that its last steps took.

absl::Duration InSeconds(absl::Duration duration) {
  return absl::Trunc(duration, absl::Seconds(1));
}

// What is said of a condition that begins; empty: nothing. `for_long`: it has lasted for a while.
const char* EventOf(v1::RunCondition kind, bool for_long, bool by_server, bool had_workers) {
  switch (kind) {
    case v1::RUN_CONDITION_DIVERGED:
      return "run diverged";
    case v1::RUN_CONDITION_NO_WORKERS:
      return had_workers ? "run has no workers" : for_long ? "run waits for workers" : "";
    case v1::RUN_CONDITION_WAITING_FOR_WORKERS:
      return for_long ? "run waits for workers" : "";
    case v1::RUN_CONDITION_WAITING_FOR_MEMORY:
      return for_long ? "run waits for memory" : "";
    case v1::RUN_CONDITION_WAITING_FOR_PUSHES:
      return for_long ? "run waits for pushes" : "";
    case v1::RUN_CONDITION_PAUSED:
      return by_server ? "run paused" : "";
    default:
      return "";
  }
}

}  // namespace

RunSituation Run::Situation() const {
  RunSituation situation;
  situation.state = ShownState();
  situation.now = Now();
  situation.stopped_at = time_.stopped_at();
  situation.stopped_by = signs_.stopped_by;
  situation.stop_reason = signs_.stop_reason;
  situation.trials = static_cast<int64_t>(trials_.size());
  situation.divergence = progress_.divergence();
  situation.non_finite_pushes = signs_.non_finite_pushes;
  situation.non_finite_reason = signs_.non_finite_reason;
  situation.non_finite_at = signs_.non_finite_at;
  situation.synchronous = policy_->needs_all();
  situation.expected_workers = policy_->starts_with();
  situation.formed = members_.formed();
  situation.live_workers = members_.live_count();
  situation.departures = members_.departures().all();
  situation.step_lacks_memory = signs_.step_lacks_memory;
  situation.moved_at = signs_.moved_at;
  for (const auto& [worker, member] : members_.live()) {
    if (!members_.IsExpected(*member)) situation.not_waited_for.push_back(worker);
  }
  situation.last_missing = signs_.last_missing;
  const bool waits = (situation.synchronous && !members_.formed()) ||
                     situation.now - situation.moved_at >= kConditionPatience;
  if (situation.state != v1::RUN_STATE_RUNNING || members_.live_count() == 0 || !waits)
    return situation;
  for (const auto& [worker, member] : members_.live()) {
    RunSituation::Worker described{worker, member->state, false};
    if (const WorkerSession* const session = sessions_.Find(worker); session != nullptr) {
      const WorkerSession::State& state = session->state();
      described.lacks_memory = state.held && state.claim && !state.claim->granted();
    }
    if (described.lacks_memory) situation.room_holders = room_.Holders();
    situation.workers.push_back(std::move(described));
  }
  Explanation explanation = ExplainWait();
  situation.waits_for = std::move(explanation.waits_for);
  situation.waits_left = explanation.until;
  return situation;
}

Explanation Run::ExplainWait() const {
  std::vector<PolicyMember> members;
  for (const auto& [worker, member] : members_.live()) {
    members.push_back({worker, members_.IsExpected(*member), members_.IsComplete(*member)});
  }
  PolicyState state = StateForPolicy();
  state.members = members;
  return policy_->Explain(state);
}

void Run::LogCondition() {
  const absl::Duration now = Now();
  if (trial_log_ != nullptr || now - judged_at_ < kLogInterval) return;
  judged_at_ = now;
  const Condition condition = JudgeCondition(Situation());
  if (condition.kind == logged_condition_) return;
  // Steps that take long are as they should be.
  const absl::Duration pace = progress_.pace().TimePerStep(now).value_or(absl::ZeroDuration());
  const bool for_long = condition.since.has_value() &&
                        now - *condition.since >= std::max(kLogPatience, kLogPaces * pace);
  const std::string event = EventOf(condition.kind, for_long, signs_.stopped_by.empty(),
                                    !members_.departures().all().empty());
  if (!event.empty()) {
    logged_condition_ = condition.kind;
    LogEntry::Fields fields = {{"reason", condition.reason},
                               {"step", absl::StrCat(engine_.step())}};
    if (for_long) {
      fields.emplace_back("for", absl::FormatDuration(InSeconds(now - *condition.since)));
    }
    LogEvent(LogEntry::Level::kWarning, event, std::move(fields));
  } else if (condition.kind == v1::RUN_CONDITION_TRAINING &&
             std::exchange(logged_condition_, v1::RUN_CONDITION_UNSPECIFIED) !=
                 v1::RUN_CONDITION_UNSPECIFIED) {
    LogEvent(LogEntry::Level::kInfo, "run goes on", {{"step", absl::StrCat(engine_.step())}});
  }
}

void Run::NoteRejection(const std::string& worker, int64_t sequence, const absl::Status& why) {
  const std::string reason = ReasonOf(why);
  const absl::Duration now = Now();
  if (reason == "NON_FINITE") {
    ++signs_.non_finite_pushes;
    signs_.non_finite_reason =
        absl::StrCat("push ", sequence, " from ", worker, " was refused at step ", engine_.step(),
                     ": ", why.message());
    signs_.non_finite_at = now;
  }
  if (environment_.log == nullptr) return;
  environment_.log->AddLimited(absl::StrCat("push rejected ", run_id_, " ", reason), now,
                               {LogEntry::Level::kWarning,
                                "push rejected",
                                {{"run", run_id_},
                                 {"worker", worker},
                                 {"reason", reason},
                                 {"message", std::string(why.message())},
                                 {"sequence", absl::StrCat(sequence)},
                                 {"step", absl::StrCat(engine_.step())}}});
}

void Run::LogMissing(const state::v1::StepDecision& decision) {
  if (environment_.log == nullptr || decision.missing().empty()) return;
  constexpr int kMostWorkers = 3;
  std::vector<absl::string_view> names(
      decision.missing().begin(),
      decision.missing().begin() + std::min(kMostWorkers, decision.missing_size()));
  if (decision.missing_size() > kMostWorkers) names.push_back("...");
  environment_.log->AddLimited(absl::StrCat("step without workers ", run_id_), Now(),
                               {LogEntry::Level::kWarning,
                                "step made without workers",
                                {{"run", run_id_},
                                 {"worker", absl::StrJoin(names, ",")},
                                 {"reason", "their pushes were not in at the deadline"},
                                 {"missing", absl::StrCat(decision.missing_size())},
                                 {"pushes", absl::StrCat(decision.used_size())},
                                 {"step", absl::StrCat(decision.step())}}});
}

void Run::LogForgiveness(const std::string& worker, bool expected) const {
  if (expected) {
    LogEvent(LogEntry::Level::kInfo, "worker is waited for again",
             {{"worker", worker}, {"step", absl::StrCat(engine_.step())}});
  } else {
    LogEvent(LogEntry::Level::kWarning, "worker is no longer waited for",
             {{"worker", worker},
              {"reason", absl::StrCat("its pushes were not in at ", policy_->forgives(),
                                      " deadlines in a row")},
              {"step", absl::StrCat(engine_.step())}});
  }
}

LogEntry::Fields Run::EndFields() const {
  LogEntry::Fields fields = {{"step", absl::StrCat(engine_.step())}};
  v1::RunProgress progress;
  progress_.Fill(&progress);
  if (progress.has_loss()) {
    fields.emplace_back("loss", absl::StrFormat("%.6g", progress.loss()));
    fields.emplace_back("smoothed_loss", absl::StrFormat("%.6g", progress.smoothed_loss()));
  }
  if (evaluation_.has_value()) {
    fields.emplace_back("evaluation_loss", absl::StrFormat("%.6g", evaluation_->loss()));
  }
  return fields;
}

void Run::LogEvent(LogEntry::Level level, const std::string& event, LogEntry::Fields fields) const {
  if (environment_.log == nullptr) return;
  fields.insert(fields.begin(), {"run", run_id_});
  environment_.log->Add({level, event, std::move(fields)});
}

}  // namespace gradd
