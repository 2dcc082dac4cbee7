// A run as people see it.

#include <algorithm>
#include <string>

#include "core/base/duration.h"
#include "core/run/run.h"
#include "core/run/run_condition.h"

namespace gradd {
namespace {

constexpr int kMaxDescribedWorkers = 1000;
constexpr int kMostNamed = 10;  // Workers that a step waits for.

// A little less than the 2 MiB that every message stays below.
constexpr size_t kMaxDescriptionBytes = (size_t{2} << 20) - (size_t{16} << 10);

void DescribeWorkers(const Membership& members, const Replies& replies, const Sessions& sessions,
                     const Clock& clock, v1::Run* run) {
  const absl::Duration now = clock.Elapsed();
  const absl::Time wall_time = clock.WallTime();
  const int64_t slowest = replies.Slowest();
  const auto describe = [&](const std::string& worker, const Member& member) {
    v1::WorkerStatus& status = *run->add_workers();
    status.set_worker(worker);
    status.set_state(replies.ShownState(member, slowest));
    if (member.live()) status.set_ahead(members.Ahead(member));
    status.set_last_sequence(member.told.sequence);
    status.set_last_base_step(member.last_base_step);
    const WorkerSession* const session = sessions.Find(worker);
    const absl::Duration last_sign = session != nullptr ? session->last_sign() : member.last_sign;
    *status.mutable_last_message_time() = ToProto(wall_time - (now - last_sign));
    status.set_missed_deadlines(member.missed);
    status.set_applied_pushes(member.applied_pushes);
    status.set_rejected_pushes(member.rejected_pushes);
    status.set_address(member.address);
    const std::shared_ptr<WorkerFloat16> float16 = sessions.Float16Of(worker);
    if (float16 == nullptr) return;  // It has not joined since the run was restored.
    status.set_saturated_values(float16->saturated_values());
    status.set_widened_chunks(float16->widened_chunks());
  };
  for (const auto& [worker, member] : members.live()) {
    if (run->workers_size() == kMaxDescribedWorkers) return;
    describe(worker, *member);
  }
  for (const auto& [worker, member] : members.all()) {
    if (run->workers_size() == kMaxDescribedWorkers) return;
    if (!member.live()) describe(worker, member);
  }
}

// Until the run is finished, as far as that is known: by its last step, or by its data, of which
// each step takes as much as those until now did on average.
std::optional<double> StepsLeft(const RunRecord& record, const v1::RunProgress& progress) {
  std::optional<double> left;
  const int64_t max_steps = record.spec().max_steps();
  if (max_steps > 0) left = static_cast<double>(max_steps - progress.step());
  const v1::DataProgress& data = progress.data();
  if (!progress.has_data() || data.used_batches() == 0 || progress.step() == 0) return left;
  const double a_step =
      static_cast<double>(data.used_batches()) / static_cast<double>(progress.step());
  const double of_data = static_cast<double>(data.batches() - data.used_batches()) / a_step;
  return std::min(left.value_or(of_data), of_data);
}

}  // namespace

v1::Run Run::Describe(Detail detail) const {
  v1::Run run;
  {
    MutexLock lock(&mutex_);
    run = DescribeNow(detail);
  }
  if (detail == Detail::kFull) *run.mutable_layout() = layout_.message();
  return run;
}

v1::Run Run::DescribeNow(Detail detail) const {
  v1::Run run = record_.spec();
  run.set_state(course_.ShownState());
  run.set_parameter_count(layout_.element_count());
  *run.mutable_create_time() = record_.create_time();
  run.set_state_bytes(engine_.state_bytes());
  run.set_memory_bytes(engine_.memory_bytes());
  run.set_timeline(record_.timeline()->number);
  run.set_uid(record_.timeline()->run_uid);
  run.set_kept(log_->keeps());
  FillProgress(run.mutable_progress());
  if (detail == Detail::kSummary) return run;
  DescribeWorkers(record_.members(), replies_, sessions_, *environment_.clock, &run);
  if (detail == Detail::kWorkers) return run;
  constexpr size_t kFieldBytes = 8;  // What the layout's tag and length take at most.
  record_.history().AppendTo(kMaxDescriptionBytes - layout_.message().ByteSizeLong() - kFieldBytes,
                             &run);
  return run;
}

v1::RunProgress Run::Progress(int64_t* event) const {
  MutexLock lock(&mutex_);
  // Without a journal, steps are shown as they are made.
  if (event != nullptr) *event = record_.spec().journal() ? record_.events() : 0;
  v1::RunProgress progress;
  FillProgress(&progress);
  return progress;
}

v1::History Run::ReadHistory(const HistorySelection& selection) const {
  v1::History history;
  MutexLock lock(&mutex_);
  progress_.history().Fill(selection, &history);
  record_.evaluations().Fill(selection, &history);
  return history;
}

void Run::FillProgress(v1::RunProgress* progress) const {
  progress->set_step(engine_.step());
  progress->set_max_steps(record_.spec().max_steps());
  progress->set_state(course_.ShownState());
  progress->set_learning_rate(record_.RateAt(engine_.step()));
  progress_.Fill(progress);
  record_.outcomes().Fill(progress);
  progress->set_saturated_values(float16_counts_->saturated_values);
  progress->set_widened_chunks(float16_counts_->widened_chunks);
  progress->set_live_workers(static_cast<int32_t>(record_.members().live_count()));
  if (record_.batches() != nullptr) record_.batches()->Fill(progress->mutable_data());
  if (record_.evaluation().has_value()) *progress->mutable_evaluation() = *record_.evaluation();
  *progress->mutable_elapsed() = ToProto(course_.Elapsed(Now()));
  const RunSituation situation = Situation();
  for (const std::string& worker : situation.waits_for) {
    if (progress->waits_for_size() == kMostNamed) break;
    progress->add_waits_for(worker);
  }
  if (!situation.waits_for.empty() && situation.waits_left < absl::InfiniteDuration()) {
    *progress->mutable_waits_left() = ToProto(situation.waits_left);
  }
  const Condition condition = JudgeCondition(situation);
  progress->set_condition(condition.kind);
  progress->set_reason(condition.reason);
  if (condition.since.has_value()) {
    *progress->mutable_condition_time() = ToProto(Now() - *condition.since);
  }
  const std::optional<absl::Duration> pace = progress_.pace().TimePerStep(course_.Until(Now()));
  const std::optional<double> steps_left = StepsLeft(record_, *progress);
  if (steps_left.has_value() && pace.has_value() && course_.Moves()) {
    // A century is as good as unknown, and stays within a Duration.
    const absl::Duration time_left = *steps_left * *pace;
    if (time_left < absl::Hours(24 * 36525)) {
      *progress->mutable_time_left() = ToProto(time_left);
    }
  }
}

}  // namespace gradd
