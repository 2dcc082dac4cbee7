#ifndef GRADD_CORE_MEMBERS_MEMBER_H_
#define GRADD_CORE_MEMBERS_MEMBER_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// A worker's entry in the ledger: its last push that was answered for good.
struct LedgerEntry {
  int64_t sequence = 0;  // 0: none yet.
  v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
  // It became part of, if it was applied; otherwise the run's, when it was answered.
  int64_t step = 0;
  uint64_t timeline = 0;  // That it was computed on.

  // Whether it is the entry of that push: on another timeline, the same sequence is another push.
  bool IsOf(const v1::PushHeader& header) const {
    return header.sequence() == sequence && header.timeline() == timeline;
  }
};

// A worker that has joined at least once. A plain value: how it is connected is not in it.
struct Member {
  bool live() const { return state != v1::WORKER_STATE_EXPIRED && state != v1::WORKER_STATE_LEFT; }

  v1::WorkerState state = v1::WORKER_STATE_COMPUTING;
  LedgerEntry ledger;
  // The same as far as the worker was told: a step that cannot be undone is in the ledger before it
  // is complete.
  LedgerEntry told;
  int64_t pending_sequence = 0;  // Of its complete push that waits; 0: none.
  int64_t last_base_step = 0;
  // Pushes of it that are part of the next step already; see PolicyState::window.
  int64_t in_window = 0;
  // Pushes of it that became part of steps or of the window, since it began where the slowest live
  // member was.
  int64_t clock = 0;
  // Steps in a row that were made at their deadline without it.
  int64_t missed = 0;
  absl::Duration last_sign;  // Of life, by Clock::Elapsed(); when not connected.
  int64_t applied_pushes = 0;
  int64_t rejected_pushes = 0;
  std::string address;
};

}  // namespace gradd

#endif  // GRADD_CORE_MEMBERS_MEMBER_H_
