#ifndef GRADD_CORE_RUN_WAITING_PUSHES_H_
#define GRADD_CORE_RUN_WAITING_PUSHES_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/run/staging_room.h"
#include "core/run/worker_session.h"
#include "core/step/quorum_lag.h"
#include "core/step/step_policy.h"
#include "core/sync/staged_push.h"

namespace gradd {

// How long a push took to arrive.
struct PushArrival {
  absl::Duration receive;  // Without `stage`.
  absl::Duration stage;
  absl::Duration complete_at;  // By Clock::Elapsed().
};

// What the worker of a push knows of its fate already.
enum class Told {
  kNothing,
  kParameters,  // The parameters are on their way, ahead of the result.
  kResult,      // The result is sent, and the parameters are on their way.
};

// A complete push that waits for its step.
struct PendingPush {
  std::string worker;
  StagingRoom::Claim claim;  // Goes after what it is for.
  std::shared_ptr<const StagedPush> push;
  // The same with a gradient that is corrected for its delay up to the step after `corrected_at`.
  std::shared_ptr<const StagedPush> corrected;
  int64_t corrected_at = 0;
  bool cannot_be_corrected = false;  // There was no room for that.
  SessionPtr session;                // Where the result goes, if it is still the worker's.
  bool want_parameters = false;
  PushArrival arrival;
  Told told = Told::kNothing;
  // Its worker takes the parameters of its step block by block.
  bool sends_early = false;
  // Pushes of the same worker that were in the window when it came.
  int64_t in_window = 0;
  int64_t place = 0;  // It was the so many-th that waited; set by WaitingPushes.

  // What a step takes of it.
  const std::shared_ptr<const StagedPush>& gradient() const {
    return corrected == nullptr ? push : corrected;
  }
};

// The complete pushes of a run that wait for a step, in the order they came. Not thread safe.
class WaitingPushes {
 public:
  bool empty() const { return pushes_.empty(); }
  // Since when what is to be the next step waits, by Clock::Elapsed(); as SetSince() has it.
  absl::Duration since() const { return since_; }
  void SetSince(absl::Duration now) { since_ = now; }
  // How late the others come where some of them make a step.
  QuorumLag& lag() { return lag_; }
  const std::vector<PendingPush>& all() const { return pushes_; }
  // As policies see them; index i is the i-th push.
  absl::Span<const WaitingPush> facts() const { return facts_; }

  void Add(PendingPush push);
  // Those that were taken for a step that could not be made, or was undone: each at the place that
  // it had, whatever order they were taken in.
  void PutBack(std::vector<PendingPush> pushes);

  // Takes out those with these indices, in that order.
  std::vector<PendingPush> Take(const std::vector<size_t>& indices);
  std::vector<PendingPush> TakeAll();
  // Takes out that of a worker; there is at most one.
  std::vector<PendingPush> TakeOf(const std::string& worker);
  // Takes out those of which `goes` is true.
  std::vector<PendingPush> TakeIf(const std::function<bool(const WaitingPush&)>& goes);
  // A step was made, and so many are: of nobody there is anything in the window, and what waits,
  // and its room, is for the next one.
  void StepMade(int64_t steps);

  // Whether the push is corrected for a step after so many.
  bool IsCorrected(size_t index, int64_t open_step) const {
    return pushes_[index].corrected != nullptr && pushes_[index].corrected_at == open_step;
  }
  // What its worker leaves with that push; mostly nothing.
  const std::string& BlobOf(size_t index) const { return pushes_[index].push->header().blob(); }
  // The push of that worker; null if none waits.
  PendingPush* Find(const std::string& worker);

 private:
  std::vector<PendingPush> pushes_;
  std::vector<WaitingPush> facts_;
  int64_t added_ = 0;
  absl::Duration since_;
  QuorumLag lag_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_WAITING_PUSHES_H_
