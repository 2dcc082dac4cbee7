// How a run stands.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/run/run.h"
#include "core/run/run_condition.h"

namespace gradd {

RunSituation Run::Situation() const {
  const Membership& members = record_.members();
  RunSituation situation;
  situation.state = course_.ShownState();
  situation.now = Now();
  if (course_.disk_failed()) situation.disk_failure = std::string(log_->failure().message());
  situation.waits_for_disk = log_->waits_for_room();
  const auto durability = log_->signs();
  situation.writes_checkpoint = durability.has_value() && durability->checkpoint_bytes_left > 0;
  situation.stopped_at = course_.stopped_at();
  situation.stopped_by = record_.state_author();
  situation.stop_reason = record_.state_reason();
  if (record_.state() == v1::RUN_STATE_PAUSED && !signs_.guard_note.empty()) {
    absl::StrAppend(&situation.stop_reason, "; ", signs_.guard_note);
  }
  situation.trials = static_cast<int64_t>(trials_.size());
  situation.divergence = record_.losses().divergence();
  situation.non_finite_pushes = signs_.non_finite_pushes;
  situation.non_finite_reason = signs_.non_finite_reason;
  situation.non_finite_at = signs_.non_finite_at;
  situation.synchronous = record_.policy().needs_others();
  situation.expected_workers = record_.policy().starts_with();
  situation.formed = members.formed();
  situation.live_workers = members.live_count();
  situation.departures = members.departures().all();
  const absl::Duration epoch = environment_.clock->WallTime() - absl::UnixEpoch() - situation.now;
  for (Departure& departure : situation.departures) departure.at -= epoch;
  situation.step_lacks_memory = signs_.step_lacks_memory;
  situation.moved_at = signs_.moved_at;
  for (const auto& [worker, member] : members.live()) {
    if (!members.IsExpected(*member)) situation.not_waited_for.push_back(worker);
  }
  situation.last_missing = signs_.last_missing;
  const bool waits = (situation.synchronous && !members.formed()) ||
                     situation.now - situation.moved_at >= kConditionPatience;
  if (situation.state != v1::RUN_STATE_RUNNING || members.live_count() == 0 || !waits) {
    return situation;
  }
  const std::vector<std::string> idle = leases_.Idle();
  const int64_t slowest = replies_.Slowest();
  bool lack_batches = false;
  std::vector<PolicyMember> live;
  live.reserve(members.live().size());
  for (const auto& [worker, member] : members.live()) {
    const bool expected =
        members.IsExpected(*member) && !std::binary_search(idle.begin(), idle.end(), worker);
    live.push_back({worker, expected, members.IsComplete(*member), members.Ahead(*member)});
    RunSituation::Worker described{worker, replies_.ShownState(*member, slowest), false, false};
    if (const WorkerSession* const session = sessions_.Find(worker); session != nullptr) {
      const WorkerSession::State& state = session->state();
      described.lacks_memory = state.held && state.claim && !state.claim->granted();
      described.lacks_batches = leases_.WaitsForBatches(*session);
      lack_batches = lack_batches || described.lacks_batches;
    }
    if (described.lacks_memory) situation.room_holders = room_.Holders();
    situation.workers.push_back(std::move(described));
  }
  for (const auto& [worker, member] : members.live()) {
    if (lack_batches && record_.batches()->HasAny(worker))
      situation.batch_holders.push_back(worker);
  }
  PolicyState state = StateForPolicy();
  state.expected -= static_cast<int64_t>(idle.size());
  state.members = live;
  Explanation explanation = record_.policy().Explain(state);
  situation.waits_for = std::move(explanation.waits_for);
  situation.waits_left = explanation.until;
  situation.waits_enough = explanation.enough;
  return situation;
}

}  // namespace gradd
