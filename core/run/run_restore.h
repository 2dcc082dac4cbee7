#ifndef GRADD_CORE_RUN_RUN_RESTORE_H_
#define GRADD_CORE_RUN_RUN_RESTORE_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/run/guard_facts.h"
#include "core/run/run_capture.h"
#include "core/run/update_queue.h"
#include "core/step/engine_replacement.h"
#include "gradd/state/v1/run_state.pb.h"
#include "gradd/v1/checkpoint.pb.h"

namespace gradd {

class Run;

// That a run goes back to a checkpoint of its own, as somebody asked for it; part of an
// UpdateRequest.
struct RestoreRequest {
  std::shared_ptr<const RunCapture> capture;  // Of this run. Let go of as soon as can be.
  std::string request_id;                     // See RestoreRunRequest.
  // By the run's guard, for this: with a smaller rate, see v1::DivergenceGuard. It comes to
  // nothing, ABORTED, where the run does not wait for it any more.
  std::optional<GuardFacts> guard;

  // Set when the request is answered with OK, and before.
  v1::RestoreRunResponse answer;
  // It was answered before, by `answer`: nothing happens, and the error that the receiver gets is
  // none.
  bool answered_before = false;

  // For RunRestore.
  state::v1::RunState state;  // Of the checkpoint.
  std::unique_ptr<EngineReplacement> replacement;
};

// How a run goes back to a checkpoint while it lives: as one of its changes, see Run::Update(). For
// one call.
class RunRestore {
 public:
  explicit RunRestore(Run* run) : run_(*run) {}

  // OK if `answered` is the answer to that request; INVALID_ARGUMENT if its id was used for another
  // one.
  static absl::Status CheckAnswered(const v1::RestoreRunRequest& request,
                                    const v1::RestoreRunResponse& answered);

  // The same error, with what it is about: there is no room for what was beside what is. Others as
  // they are.
  static absl::Status BesideThePresent(const absl::Status& status);

  // Makes it the accepted change, if it can be done, with its memory claimed; it comes into effect
  // as soon as the engine is settled, which may be at once. Takes long.
  absl::Status Accept(UpdateRequest request);
  // It comes into effect: with the lock, when the engine is settled. An error says that it could
  // not, and that nothing has changed.
  absl::Status Enter(const UpdateRequest& request);

 private:
  // Whether a guard that takes the run back is still to. With the lock.
  absl::Status CheckGuard(const RestoreRequest& restore) const;

  Run& run_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_RESTORE_H_
