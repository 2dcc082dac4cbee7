#ifndef GRADD_CORE_RUN_STAGING_ROOM_H_
#define GRADD_CORE_RUN_STAGING_ROOM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "core/base/memory_budget.h"

namespace gradd {

// Room in the budget for the pushes of a run that are coming in or wait for their step. Where a
// step needs all of its pushes, room for all of them is claimed at once: whoever has begun can
// finish. Not thread safe.
class StagingRoom {
 public:
  using Claim = std::shared_ptr<MemoryBudget::Claim>;

  // A push takes `push_bytes` at most.
  StagingRoom(std::shared_ptr<MemoryBudget> budget, int64_t push_bytes)
      : budget_(std::move(budget)), push_bytes_(push_bytes) {}

  // Room for a push of `step`, which is made of `whole_step` pushes; 0: each has a claim of its
  // own. It need not be granted at once; then `on_granted` is called when it is, in any thread and
  // with any lock held.
  Claim Take(int64_t step, int64_t whole_step, std::function<void()> on_granted);
  // Gives back a claim, which may be null, of a push that is no part of a step after all.
  void Return(Claim* claim);
  // The step of the present claims is made, or will never be.
  void EndStep() { step_ = {}; }

 private:
  // Room for all pushes of a step, of which `left` have not begun.
  struct StepClaim {
    Claim claim;
    int64_t step = -1;
    int64_t left = 0;
  };

  const std::shared_ptr<MemoryBudget> budget_;
  const int64_t push_bytes_;
  StepClaim step_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_STAGING_ROOM_H_
