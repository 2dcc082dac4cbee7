// How a StepEngine goes on with what was copied elsewhere, or earlier, while it lives.

#include "core/step/engine_replacement.h"

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/step/step_engine.h"

namespace gradd {
namespace {

// What an engine had, for whoever lets go of it.
struct ReplacedParts {
  std::shared_ptr<const Snapshot> snapshot;
  std::shared_ptr<const UpdatePlan> plan;
  std::unique_ptr<Window> window;
  BaseSnapshots bases;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EngineReplacement>> StepEngine::MakeReplacement(
    std::shared_ptr<UpdatePlan> plan, const EngineVectors& vectors, const WindowFacts& window,
    bool keeps_window, int64_t kept_steps) const {
  try {
    // Checks that it has what a store with these slots has.
    ParameterStore store(layout_.element_count(), store_.block_elements(), plan->slots(nullptr),
                         StorePools::Create(nullptr));
    GRADD_RETURN_IF_ERROR(store.Restore(*vectors.snapshot));
    GRADD_RETURN_IF_ERROR(plan->Restore(vectors.plan));
    std::unique_ptr<Window> restored;
    if (keeps_window || window.pushes > 0) {
      auto created = NewWindow();
      GRADD_RETURN_IF_ERROR(created.status());
      restored = *std::move(created);
      GRADD_RETURN_IF_ERROR(restored->Restore(vectors.window, window));
    } else if (!vectors.window.empty()) {
      return InvalidArgument("STATE_INVALID",
                             absl::StrCat("window: ", vectors.window.size(),
                                          " blocks, none expected where nothing lies in it"));
    }
    StepGuard guard(0);
    guard.Measure(store, executor_.get());
    return std::unique_ptr<EngineReplacement>(new EngineReplacement{
        std::move(plan), vectors.snapshot, guard, std::move(restored), keeps_window, kept_steps});
  } catch (const std::bad_alloc&) {
    return StateOutOfMemory(run_id_);
  }
}

absl::Status StepEngine::ReserveReplacement(const EngineReplacement& replacement) {
  GRADD_DCHECK(next_plan_ == nullptr && !change_.has_value(), "another plan is on its way");
  // What there is stays until then.
  const int64_t before = memory_.store->state_bytes();
  const int64_t bytes =
      std::max(before, StoreBytes(layout_, *replacement.plan, replacement.kept_steps));
  if (!budget_->WithReclaim(MemoryUse::kState, bytes - before,
                            [&] { return memory_.store->ResizeState(bytes); })) {
    return StateTooLarge(run_id_, bytes - before, *budget_);
  }
  const auto reserve = [&] {
    try {
      store_.ReserveForSlots(replacement.plan->slots(nullptr), store_.slots());
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  };
  if (budget_->WithReclaim(MemoryUse::kVersions, 0, reserve)) return absl::OkStatus();
  memory_.store->ResizeState(before);
  return StateOutOfMemory(run_id_);
}

absl::StatusOr<std::shared_ptr<const void>> StepEngine::Replace(
    std::unique_ptr<EngineReplacement> replacement) {
  GRADD_DCHECK(settled() && next_plan_ == nullptr, "it is replaced while something is on its way");
  try {
    auto replaced = std::make_shared<ReplacedParts>();
    // Held here, so that nothing is given back to pools with a lock held.
    replaced->snapshot = store_.TakeSnapshot(SnapshotContents::kAll);
    store_.Adopt(store_.BeginChange(replacement->plan->slots(nullptr)));
    memory_.store->EndReservations(ReservedFor::kChange);
    const absl::Status restored = store_.Restore(*replacement->snapshot);
    GRADD_DCHECK(restored.ok(), std::string(restored.message()));
    on_its_way_ = OnItsWay::kReplacement;
    replaced->plan = std::exchange(plan_, std::move(replacement->plan));
    replaced->window = std::exchange(window_, std::move(replacement->window));
    replaced->bases = std::exchange(bases_, {});
    next_window_.reset();
    keeps_window_ = replacement->keeps_window;
    bases_.Keep(replacement->kept_steps);
    guard_ = replacement->guard;
    step_ = store_.step();
    training_snapshot_.reset();
    return std::shared_ptr<const void>(std::move(replaced));
  } catch (const std::bad_alloc&) {
    return StateOutOfMemory(run_id_);
  }
}

void StepEngine::OwnBlocks() {
  executor_->ParallelFor(store_.block_count(), [this](int64_t block) {
    if (!store_.WritesElsewhere(block)) return;
    try {
      store_.UpdateBlockInPlace(block, [](const ParameterStore::BlockUpdate&) {});
    } catch (const std::bad_alloc&) {
      // The next step writes elsewhere, once there is room for it.
    }
  });
}

void StepEngine::EndReplacement() {
  on_its_way_ = OnItsWay::kNothing;
  if (next_plan_ != nullptr || plan_ == nullptr) return;
  const bool resized = memory_.store->ResizeState(StoreBytes(layout_, *plan_, bases_.kept_steps()));
  GRADD_DCHECK(resized, "the plan takes more than was claimed for it");
}

}  // namespace gradd
