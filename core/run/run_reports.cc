#include "core/run/run_reports.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"

namespace gradd {
namespace {

// How often the condition is looked at, and how long a run may wait before that is said.
constexpr absl::Duration kConditionInterval = absl::Seconds(1);
constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr int kPatiencePaces = 3;          // And in the times that its last steps took.
constexpr size_t kMostWorkersInALine = 3;  // Workers in a line.

std::string Text(int64_t number) { return absl::StrCat(number); }

// `w1,w2,w3,...`.
template <typename Workers>
std::string InALine(const Workers& workers) {
  const auto size = static_cast<size_t>(workers.size());
  const std::string names =
      absl::StrJoin(workers.begin(), workers.begin() + std::min(size, kMostWorkersInALine), ",");
  return size > kMostWorkersInALine ? absl::StrCat(names, ",...") : names;
}

// `computing`, `disconnected`.
std::string StateText(v1::WorkerState state) {
  return absl::AsciiStrToLower(absl::StripPrefix(v1::WorkerState_Name(state), "WORKER_STATE_"));
}

// What is said of a condition that begins; empty: nothing. `for_long`: it has lasted for a while.
const char* EventOf(v1::RunCondition kind, bool for_long, bool had_workers) {
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
    case v1::RUN_CONDITION_WAITING_FOR_DISK:
      return "run waits for its disk";
    case v1::RUN_CONDITION_DISK_FAILED:
      return "run stopped by its disk";
    default:
      return "";
  }
}

}  // namespace

void RunReports::StepMade(const state::v1::StepDecision& decision, int64_t step,
                          double smoothed_loss) {
  if (trial_ == nullptr) return;
  v1::TrialStep made;
  made.set_step(step);
  made.set_loss(decision.loss());
  made.set_smoothed_loss(smoothed_loss);
  made.set_learning_rate(decision.learning_rate());
  trial_->AddStep(std::move(made), clock_.Elapsed());
}

void RunReports::IsNoGood(const std::string& reason) {
  if (trial_ == nullptr) return;
  trial_->Refuse(Error(absl::StatusCode::kOutOfRange, "NON_FINITE", reason));
}

void RunReports::Paused(const std::string& reason, int64_t step) {
  if (is_trial_) return;
  Add(LogEntry::Level::kWarning, "run paused", {{"reason", reason}, {"step", Text(step)}});
  told_condition_ = v1::RUN_CONDITION_DIVERGED;
}

void RunReports::Finished(const v1::RunProgress& progress) {
  if (is_trial_) return;
  LogEntry::Fields fields = {{"step", Text(progress.step())}};
  if (progress.has_loss()) {
    fields.emplace_back("loss", absl::StrFormat("%.6g", progress.loss()));
    fields.emplace_back("smoothed_loss", absl::StrFormat("%.6g", progress.smoothed_loss()));
  }
  if (progress.has_evaluation()) {
    fields.emplace_back("evaluation_loss", absl::StrFormat("%.6g", progress.evaluation().loss()));
  }
  Add(LogEntry::Level::kInfo, "run finished", std::move(fields));
}

void RunReports::TimelineBegun(uint64_t timeline, const std::string& author, int64_t step) {
  Add(LogEntry::Level::kInfo, "timeline begun",
      {{"timeline", absl::StrCat(timeline)}, {"step", Text(step)}, {"by", author}});
}

void RunReports::GuardGaveUp(const std::string& why, int64_t step) {
  Add(LogEntry::Level::kWarning, "run stays stopped", {{"reason", why}, {"step", Text(step)}});
}

void RunReports::PushRejected(const std::string& worker, int64_t sequence, const absl::Status& why,
                              int64_t step) {
  if (trial_ != nullptr) trial_->Refuse(why);
  const std::string reason = ReasonOf(why);
  AddLimited("push rejected", reason,
             {{"worker", worker},
              {"reason", reason},
              {"message", std::string(why.message())},
              {"sequence", Text(sequence)},
              {"step", Text(step)}});
}

void RunReports::PushesDropped(const std::vector<std::string>& workers, const std::string& why,
                               int64_t step) {
  const auto pushes = static_cast<int64_t>(workers.size());
  AddLimited("pushes dropped", "",
             {{"worker", InALine(workers)},
              {"reason", absl::StrCat("others need their room, and the run ", why)},
              {"pushes", Text(pushes)},
              {"step", Text(step)}});
}

void RunReports::StepWithout(const state::v1::StepDecision& decision) {
  if (decision.missing().empty()) return;
  AddLimited("step made without workers", "",
             {{"worker", InALine(decision.missing())},
              {"reason", "their pushes were not in at the deadline"},
              {"missing", Text(decision.missing_size())},
              {"pushes", Text(decision.used_size())},
              {"step", Text(decision.step())}});
}

void RunReports::NoLongerExpected(const std::string& worker, int64_t deadlines, int64_t step) {
  Add(LogEntry::Level::kWarning, "worker is no longer waited for",
      {{"worker", worker},
       {"reason", absl::StrCat("its pushes were not in at ", deadlines, " deadlines in a row")},
       {"step", Text(step)}});
}

void RunReports::ExpectedAgain(const std::string& worker, int64_t step) {
  Add(LogEntry::Level::kInfo, "worker is waited for again",
      {{"worker", worker}, {"step", Text(step)}});
}

void RunReports::WorkerLost(const LostWorker& lost, int64_t step) {
  Add(LogEntry::Level::kWarning, "worker lost",
      {{"worker", lost.worker},
       {"reason", absl::StrCat("its lease of ", absl::FormatDuration(lost.lease), " ended",
                               lost.unread ? ": it did not read its parameters" : "")},
       {lost.unread ? "unread_for" : "silent_for",
        absl::FormatDuration(absl::Trunc(lost.silent_for, absl::Seconds(1)))},
       {"was", StateText(lost.was)},
       {"step", Text(step)},
       {"left", Text(lost.left)}});
}

void RunReports::BatchesGivenUp(const std::string& worker, const BatchLedger& batches, int64_t more,
                                int64_t step) {
  const auto named = static_cast<int64_t>(batches.last_skipped().size());
  std::vector<std::string> numbers;
  for (int64_t i = 0; i < std::min(more, named); ++i) {
    numbers.push_back(Text(batches.last_skipped()[static_cast<size_t>(i)]));
  }
  AddLimited("batches given up", "",
             {{"worker", worker},
              {"batches", InALine(numbers)},
              {"reason", absl::StrCat("their pushes were not finite ",
                                      batches.data_set().most_skips(), " times")},
              {"given_up", Text(batches.skipped())},
              {"step", Text(step)}});
}

void RunReports::ChangeLacksMemory(int64_t step) {
  AddLimited("change waits for memory", "", {{"step", Text(step)}});
}

bool RunReports::WantsCondition() {
  const absl::Duration now = clock_.Elapsed();
  if (is_trial_ || now - judged_at_ < kConditionInterval) return false;
  judged_at_ = now;
  return true;
}

void RunReports::TellCondition(const Condition& condition, std::optional<absl::Duration> pace,
                               bool had_workers, int64_t step) {
  if (condition.kind == told_condition_) return;
  const absl::Duration lasts =
      condition.since.has_value() ? clock_.Elapsed() - *condition.since : -absl::InfiniteDuration();
  const bool for_long =
      lasts >= std::max(kPatience, kPatiencePaces * pace.value_or(absl::ZeroDuration()));
  const absl::string_view event = EventOf(condition.kind, for_long, had_workers);
  if (!event.empty()) {
    told_condition_ = condition.kind;
    LogEntry::Fields fields = {{"reason", condition.reason}, {"step", Text(step)}};
    if (for_long) {
      fields.emplace_back("for", absl::FormatDuration(absl::Trunc(lasts, absl::Seconds(1))));
    }
    Add(LogEntry::Level::kWarning, event, std::move(fields));
  } else if (condition.kind == v1::RUN_CONDITION_TRAINING &&
             std::exchange(told_condition_, v1::RUN_CONDITION_UNSPECIFIED) !=
                 v1::RUN_CONDITION_UNSPECIFIED) {
    Add(LogEntry::Level::kInfo, "run goes on", {{"step", Text(step)}});
  }
}

void RunReports::Add(LogEntry::Level level, absl::string_view event,
                     LogEntry::Fields fields) const {
  if (log_ == nullptr) return;
  fields.insert(fields.begin(), {"run", run_id_});
  log_->Add({level, std::string(event), std::move(fields)});
}

void RunReports::AddLimited(absl::string_view event, absl::string_view kind,
                            LogEntry::Fields fields) const {
  if (log_ == nullptr) return;
  fields.insert(fields.begin(), {"run", run_id_});
  log_->AddLimited(absl::StrCat(event, " ", run_id_, " ", kind), clock_.Elapsed(),
                   {LogEntry::Level::kWarning, std::string(event), std::move(fields)});
}

}  // namespace gradd
