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

}  // namespace

void Run::DescribeWorkers(v1::Run* run) const {
  const absl::Duration now = Now();
  const absl::Time wall_time = environment_.clock->WallTime();
  const auto describe = [&](const std::string& worker,
                            const Member& member) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    v1::WorkerStatus& status = *run->add_workers();
    status.set_worker(worker);
    status.set_state(member.state);
    status.set_last_sequence(member.ledger.sequence);
    status.set_last_base_step(member.last_base_step);
    const WorkerSession* const session = sessions_.Find(worker);
    const absl::Duration last_sign = session != nullptr ? session->last_sign() : member.last_sign;
    *status.mutable_last_message_time() = ToProto(wall_time - (now - last_sign));
    status.set_missed_deadlines(member.missed);
    status.set_applied_pushes(member.applied_pushes);
    status.set_rejected_pushes(member.rejected_pushes);
    status.set_address(member.address);
    const std::shared_ptr<WorkerFloat16> float16 = sessions_.Float16Of(worker);
    status.set_saturated_values(float16->saturated_values());
    status.set_widened_chunks(float16->widened_chunks());
  };
  for (const auto& [worker, member] : members_.live()) {
    if (run->workers_size() == kMaxDescribedWorkers) return;
    describe(worker, *member);
  }
  for (const auto& [worker, member] : members_.all()) {
    if (run->workers_size() == kMaxDescribedWorkers) return;
    if (!member.live()) describe(worker, member);
  }
}

void Run::FillProgress(v1::RunProgress* progress) const {
  progress->set_step(engine_.step());
  progress->set_max_steps(spec_.max_steps());
  progress->set_state(ShownState());
  progress->set_learning_rate(RateAt(engine_.step()));
  progress_.Fill(progress);
  progress->set_saturated_values(float16_counts_->saturated_values);
  progress->set_widened_chunks(float16_counts_->widened_chunks);
  progress->set_live_workers(static_cast<int32_t>(members_.live_count()));
  if (evaluation_.has_value()) *progress->mutable_evaluation() = *evaluation_;
  const absl::Duration now = Moves() ? Now() : time_.stopped_at();
  *progress->mutable_elapsed() = ToProto(time_.Until(now));
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
  const std::optional<absl::Duration> pace = progress_.pace().TimePerStep(now);
  if (spec_.max_steps() > 0 && pace.has_value() && Moves()) {
    // A century is as good as unknown, and stays within a Duration.
    const absl::Duration time_left =
        static_cast<double>(spec_.max_steps() - engine_.step()) * *pace;
    if (time_left < absl::Hours(24 * 36525)) {
      *progress->mutable_time_left() = ToProto(time_left);
    }
  }
}

}  // namespace gradd
