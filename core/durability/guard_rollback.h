#ifndef GRADD_CORE_DURABILITY_GUARD_ROLLBACK_H_
#define GRADD_CORE_DURABILITY_GUARD_ROLLBACK_H_

#include <memory>

#include "core/base/executor.h"
#include "core/durability/checkpointer.h"
#include "core/run/run_registry.h"

namespace gradd {

// Takes a run that its guard has stopped back to the last good checkpoint, with a smaller learning
// rate (v1::DivergenceGuard): the newest on its present past that was made before the loss left.
// Where there is none, or where it has gone back as often as it may, it stays stopped, and the log
// says why. Thread safe.
class GuardRollback {
 public:
  // `io` does what reads the checkpoint. `registry` outlives this and its tasks.
  GuardRollback(RunRegistry* registry, std::shared_ptr<Executor> io)
      : registry_(*registry), io_(std::move(io)) {}

  // Begins, if the run waits for it. To be called about ten times a second.
  void Tick(const std::shared_ptr<Checkpointer>& kept) const;

 private:
  void RollBack(const std::shared_ptr<Checkpointer>& kept, const GuardFacts& facts) const;

  RunRegistry& registry_;
  const std::shared_ptr<Executor> io_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_GUARD_ROLLBACK_H_
