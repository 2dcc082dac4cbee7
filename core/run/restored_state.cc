#include "core/run/restored_state.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/utf8.h"
#include "core/run/field_json.h"
#include "core/run/run_guard.h"
#include "core/run/run_history.h"
#include "core/run/run_past.h"
#include "core/run/spec_difference.h"

namespace gradd {
namespace {

// Answers that are remembered.
constexpr int kMostRestores = 16;
// Of a value, in the history and in the answer.
constexpr size_t kShownBytes = 400;

// Who is a worker is as it is; what was counted of them is as it was.
state::v1::MembersState RestoredMembers(const state::v1::MembersState& present,
                                        const state::v1::MembersState& checkpoint) {
  std::map<std::string, const state::v1::MemberState*> of_then;
  int64_t slowest = -1;
  for (const state::v1::MemberState& member : checkpoint.members()) {
    of_then[member.worker()] = &member;
    const bool is_live = member.gone() == v1::WORKER_STATE_UNSPECIFIED;
    if (is_live && (slowest < 0 || member.clock() < slowest)) slowest = member.clock();
  }
  state::v1::MembersState members;
  members.set_formed(present.formed());
  *members.mutable_departures() = present.departures();
  *members.mutable_blobs() = checkpoint.blobs();
  std::map<std::string, state::v1::MemberState> by_worker;
  for (const state::v1::MemberState& now : present.members()) {
    state::v1::MemberState& member = by_worker[now.worker()];
    if (const auto found = of_then.find(now.worker()); found != of_then.end()) {
      member = *found->second;
    } else {
      member.set_worker(now.worker());
      member.set_clock(std::max(slowest, int64_t{0}));
    }
    member.set_gone(now.gone());
    member.set_address(now.address());
    member.set_missed(0);
  }
  // Somebody who came on another timeline than the present one.
  for (const auto& [worker, then] : of_then) {
    const auto [at, is_new] = by_worker.try_emplace(worker, *then);
    if (is_new && then->gone() == v1::WORKER_STATE_UNSPECIFIED) {
      at->second.set_gone(v1::WORKER_STATE_EXPIRED);
    }
  }
  for (auto& [worker, member] : by_worker) *members.add_members() = std::move(member);
  return members;
}

std::string StateJson(v1::RunState state) {
  return absl::StrCat("\"", v1::RunState_Name(state), "\"");
}

}  // namespace

v1::Run RestoredSpec(const v1::Run& present, const v1::Run& checkpoint, int64_t cuts) {
  v1::Run spec = checkpoint;
  // Nobody asked for anything but a smaller rate.
  if (cuts > 0) spec.set_max_steps(present.max_steps());
  spec.clear_layout();
  spec.set_name(present.name());
  *spec.mutable_labels() = present.labels();
  spec.clear_checkpoints();
  if (present.has_checkpoints()) *spec.mutable_checkpoints() = present.checkpoints();
  spec.set_journal(present.journal());
  spec.set_journal_max_bytes(present.journal_max_bytes());
  spec.clear_guard();
  if (present.has_guard()) *spec.mutable_guard() = present.guard();
  if (cuts > 0) {
    v1::Schedule& schedule = *spec.mutable_schedule();
    schedule.set_learning_rate(schedule.learning_rate() *
                               std::pow(RateFactor(spec.guard()), static_cast<double>(cuts)));
  }
  return spec;
}

RestoredState RestoreState(const state::v1::RunState& present,
                           const state::v1::RunState& checkpoint, const std::string& author,
                           const std::string& request_id, bool by_guard, absl::Time now) {
  RestoredState restored;
  state::v1::RunState& state = restored.state;
  v1::RestoreRunResponse& answer = restored.answer;
  state = checkpoint;
  state.set_guard_rollbacks(present.guard_rollbacks() + (by_guard ? 1 : 0));
  state.clear_guarded_since_step();
  state.clear_awaits_rollback();
  // It was made when somebody had paused the run, or at its end, which may be later now.
  if (by_guard) state.set_state(v1::RUN_STATE_RUNNING);
  *state.mutable_spec() =
      RestoredSpec(present.spec(), checkpoint.spec(),
                   by_guard ? state.guard_rollbacks() - checkpoint.guard_rollbacks() : 0);
  state.set_events(present.events() + 1);
  state.set_timeline(present.timeline() + 1);
  state.set_uid(present.uid());
  *state.mutable_evaluations() = present.evaluations();
  *state.mutable_create_time() = present.create_time();
  state.set_request_id(present.request_id());
  *state.mutable_members() = RestoredMembers(present.members(), checkpoint.members());
  RunPast past;
  if (past.Read(checkpoint.past()).ok()) past.Begin(state.timeline(), state.step());
  past.Write(state.mutable_past());

  answer.set_timeline(state.timeline());
  answer.set_step(state.step());
  answer.set_checkpoint_timeline(checkpoint.timeline());
  answer.set_from_timeline(present.timeline());
  answer.set_from_step(present.step());

  RunHistory history;
  history.Read(present.history());
  const auto add = [&](const std::string& field, const std::string& old_value,
                       const std::string& new_value) {
    v1::Change change;
    *change.mutable_time() = ToProto(now);
    change.set_step(state.step());
    change.set_author(author);
    change.set_field(field);
    change.set_old_value(Abbreviated(old_value, kShownBytes));
    change.set_new_value(Abbreviated(new_value, kShownBytes));
    history.Add(change);
    return change;
  };
  add("step", absl::StrCat(present.step()),
      absl::StrCat(state.step(), " (of timeline ", checkpoint.timeline(), ")"));
  add("timeline", absl::StrCat(present.timeline()), absl::StrCat(state.timeline()));
  const auto note = [&](const std::string& field, const std::string& old_value,
                        const std::string& new_value) {
    *answer.add_changes() = add(field, old_value, new_value);
  };
  for (const std::string& path : DifferentFields(present.spec(), state.spec())) {
    note(path, FieldJson(present.spec(), path), FieldJson(state.spec(), path));
  }
  if (state.state() != present.state()) {
    note("state", StateJson(present.state()), StateJson(state.state()));
    state.set_state_author(author);
    state.clear_state_reason();
    *state.mutable_state_time() = ToProto(now);
  }
  history.Write(state.mutable_history());

  *state.mutable_restores() = present.restores();
  if (!request_id.empty()) {
    state::v1::AnsweredRestore& answered = *state.add_restores();
    answered.set_request_id(request_id);
    *answered.mutable_answer() = answer;
    while (state.restores_size() > kMostRestores) state.mutable_restores()->DeleteSubrange(0, 1);
  }
  return restored;
}

}  // namespace gradd
