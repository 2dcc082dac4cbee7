#include "core/run/forked_state.h"

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"

namespace gradd {

state::v1::RunState ForkedState(const state::v1::RunState& origin, const NewIdentity& identity) {
  state::v1::RunState state = origin;
  state.mutable_spec()->set_name(absl::StrCat("runs/", identity.run_id));
  state.set_events(1);  // That it was created.
  state.set_uid(identity.uid);
  state.set_timeline(1);
  state.set_request_id(identity.request_id);
  *state.mutable_create_time() = ToProto(identity.now);
  state.set_state(v1::RUN_STATE_RUNNING);
  state.clear_state_author();
  state.clear_state_reason();
  *state.mutable_state_time() = state.create_time();
  state.clear_members();
  state.clear_outcomes();
  state.clear_guard_rollbacks();
  state.clear_guarded_since_step();
  state.clear_awaits_rollback();
  state.clear_skipped_in_a_row();
  state.clear_quorum_lag_seconds();
  state.clear_elapsed();
  state.clear_past();
  state.clear_restores();
  if (state.has_data()) {
    // Nobody has any.
    *state.mutable_data()->mutable_free() = state.data().unused();
    state.mutable_data()->clear_held();
    state.mutable_data()->clear_former();
  }
  state.clear_history();
  v1::Change& change = *state.add_history();
  *change.mutable_time() = state.create_time();
  change.set_step(state.step());
  change.set_author(identity.author);
  change.set_field("origin");
  change.set_new_value(absl::StrCat("\"", origin.spec().name(), ", step ", origin.step(),
                                    " of timeline ", origin.timeline(), "\""));
  return state;
}

}  // namespace gradd
