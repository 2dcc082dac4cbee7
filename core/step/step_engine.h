#ifndef GRADD_CORE_STEP_STEP_ENGINE_H_
#define GRADD_CORE_STEP_STEP_ENGINE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/base/shared_region.h"
#include "core/optim/update_plan.h"
#include "core/step/base_snapshots.h"
#include "core/step/engine_replacement.h"
#include "core/step/engine_vectors.h"
#include "core/step/measurements.h"
#include "core/step/push_meter.h"
#include "core/step/run_memory.h"
#include "core/step/step_gradient.h"
#include "core/step/step_guard.h"
#include "core/step/step_work.h"
#include "core/step/window.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"
#include "core/store/snapshot.h"
#include "core/store/version_readers.h"

namespace gradd {

// Parameters and slots of one run, and how they change: it applies decisions to pushes, and takes
// the place of one update plan by another. It knows of no workers and no time.
//
// A step: Prepare(), Apply(), Complete(). A change of the plan: Reserve(), and when the engine is
// settled Change(); where that says so, Fill() and Adopt() follow. Between Prepare() and Complete()
// a step is on its way, between Change() and Adopt() a change; otherwise the engine is settled.
//
// Thread safety: Apply(), Fold() and Fill() take long and are called by one thread at a time.
// Everything else takes microseconds, is exclusive, and may be called beside these where it says
// so.
class StepEngine {
 public:
  // What an engine works with.
  struct Parts {
    std::string run_id;  // For messages.
    const Layout* layout = nullptr;
    const Clock* clock = nullptr;
    std::shared_ptr<Executor> executor;
    MemoryBudget* budget = nullptr;
    std::shared_ptr<VersionReaders> readers;
    RunMemory memory;
  };
  // Goes on from `store`, which has the slots of `plan`; that one is allocated, see ClaimPlan(). No
  // parameter is larger than `largest_parameter`, where that is known. `kept_steps`: see
  // BaseOf().
  StepEngine(Parts parts, ParameterStore store, std::shared_ptr<UpdatePlan> plan,
             std::optional<float> largest_parameter, int64_t kept_steps = 0);

  // Goes on with the slots of `snapshot` and the state of `plan` as they are somewhere else, and
  // counts from 0. INVALID_ARGUMENT, with nothing changed, names what differs; RESOURCE_EXHAUSTED
  // where there is no room to copy that state. Takes long.
  absl::Status GoOnFrom(const Snapshot& snapshot, const UpdatePlan& plan);
  // Goes on where an engine of the same layout, plan and length of blocks was copied, with its
  // count of steps: before any step and change. `window` is what lay in the window; `keeps_window`:
  // there is one from now on. INVALID_ARGUMENT names what differs, RESOURCE_EXHAUSTED says that
  // there is no room; the engine is of no use then. Takes long.
  absl::Status Restore(const EngineVectors& vectors, const WindowFacts& window, bool keeps_window);

  // Steps applied. May be called beside Apply() and Fill().
  int64_t step() const { return step_; }
  // The step that a push computed from the newest parameters will be part of comes after so many:
  // the one on its way is counted.
  int64_t open_step() const { return step_ + (on_its_way_ == OnItsWay::kStep ? 1 : 0); }
  // Neither a step nor a change is on its way: the store stays as it is.
  bool settled() const { return on_its_way_ == OnItsWay::kNothing && !change_.has_value(); }
  bool changes() const { return change_.has_value(); }
  const ParameterStore& store() const { return store_; }
  // Nobody changes it while no step is on its way.
  std::shared_ptr<const UpdatePlan> plan() const { return plan_; }
  // Of the parameters, the slots, what optimizers keep for whole tensors, and the window; and with
  // older versions that somebody reads, and what is kept for the next ones.
  int64_t state_bytes() const { return memory_.store->state_bytes() + bytes_beside_store(); }
  int64_t memory_bytes() const {
    // What is claimed for slots that are yet to come counts too.
    return std::max(store_.memory_bytes(), memory_.store->state_bytes()) + bytes_beside_store();
  }

  // ---- Steps ----

  // Makes sure that the step of `work` needs no memory that is not there: then it is on its way. It
  // is published, while it is applied, in those of `early` encodings for which there is room,
  // unless it has to be watched.
  //
  // False, with nothing on its way, if there is no room. Others may be able to do without some of
  // what they have: to take that from them takes long, so that is for the caller, without a lock.
  // Once nothing more can be given back, `room_is_made`: then the step makes do with less, and
  // false says that the memory cannot be had, or that the step would have to be undone and cannot
  // be.
  bool Prepare(const std::vector<v1::Encoding>& early, bool room_is_made, StepWork* work);
  // Applies the decision to the pushes.
  void Apply(StepWork* work);
  // Measures pushes that are no step yet, as a step with the present plan would. Unset if nothing
  // is wanted, or there is no room for it. Takes long; may be called beside everything but a
  // change.
  std::optional<Measurements> Measure(const std::vector<std::shared_ptr<const StagedPush>>& pushes,
                                      const std::vector<float>& coefficients,
                                      WantedMeasurements wanted) const;
  // The step is done, or undone, and what was reserved for it is free. Then, if there is a next
  // plan, Change() may be called.
  void Complete(StepWork* work);

  // ---- The window, where several pushes of a worker make a step ----

  // There is one from the beginning: before any step and change. RESOURCE_EXHAUSTED, with nothing
  // changed, where the memory for it is not left.
  absl::Status BeginWithWindow();
  // Null if there is none.
  const Window* window() const { return window_.get(); }
  // A push becomes part of the window: BeginFold(), Fold(), which takes long, EndFold(). Meanwhile
  // the engine is not settled. False if the push is too large for that, see kLargestInWindow.
  bool BeginFold(const StagedPush& push);
  void Fold(const state::v1::FoldedPush& how, const StagedPush& push);
  void EndFold();

  // ---- What gradients are corrected for ----

  // What workers trained at after `step` steps: of so many of the last ones it is kept. Null if it
  // is not. (Who holds one is accounted for one at a time.)
  std::shared_ptr<const Snapshot> BaseOf(int64_t step) const { return bases_.Find(step); }
  // The first step of which it is kept; the present one is not counted among the kept.
  int64_t oldest_kept_step() const { return bases_.oldest(/*none=*/step_); }
  // A gradient is corrected, so that the engine is not settled. In between, CompensateDelay() may
  // be called.
  void BeginCorrection() { on_its_way_ = OnItsWay::kCorrection; }
  void EndCorrection() { on_its_way_ = OnItsWay::kNothing; }

  // ---- The plan ----

  // Claims and reserves the slots of `plan`, which is allocated, see ClaimPlan(), besides those of
  // the present one, and makes it the next one. With it, there is a window or there is none; one
  // with something in it then stays until the next step. And `kept_steps` are kept for BaseOf().
  // RESOURCE_EXHAUSTED, with nothing changed, where so much is not left. May be called beside
  // Apply() and Fill().
  absl::Status Reserve(std::shared_ptr<UpdatePlan> plan, bool keeps_window, int64_t kept_steps);
  // Whether one waits to take the present one's place.
  bool has_next_plan() const { return next_plan_ != nullptr; }
  // Goes on with the next plan, if there is one and the engine is settled: at once; or, where slots
  // take time to fill, after Fill() and Adopt(). False if the machine has no memory for that: the
  // next plan then waits for the next call.
  [[nodiscard]] bool Change();
  void Fill();
  void Adopt();

  // ---- Copies of what it goes on from ----

  // Copies everything: BeginCopy(), Copy(), which takes long, EndCopy(). Meanwhile the engine is
  // not settled. RESOURCE_EXHAUSTED if there is no room for the copy.
  void BeginCopy(EngineVectors* copy);
  absl::Status Copy(EngineVectors* copy);
  void EndCopy() { on_its_way_ = OnItsWay::kNothing; }

  // ---- What others read; all of it only while the engine is settled ----

  // What is read from now on is of that timeline.
  void SetTimeline(std::shared_ptr<const Timeline> timeline) {
    store_.SetTimeline(std::move(timeline));
    training_snapshot_.reset();
  }
  // All workers of a step share one.
  std::shared_ptr<const Snapshot> TakeSnapshot(SnapshotContents contents);
  // What the parameters are trained at lies in `region` from the next step on.
  void ShareTrainingVector(std::shared_ptr<SharedRegion> region) {
    store_.ShareTrainingVector(std::move(region));
  }
  // See ParameterStore::HasRoomForVersion().
  bool HasRoomForVersion() const { return store_.HasRoomForVersion(); }
  // Whether the next plan, if there is one, or the present one keeps an average.
  bool keeps_average() const { return plan_->slots(nullptr).average_slot >= 0; }
  // Ends the engine: its memory goes with the result, and to let go of that takes long. Only
  // step(), settled(), changes(), state_bytes() and memory_bytes() may be called after it, and
  // block_allocations() of the store.
  struct Remains {
    ParameterStore::Remains store;
    std::shared_ptr<const UpdatePlan> plan;
    std::shared_ptr<const UpdatePlan> next_plan;
    std::unique_ptr<Window> window;
    std::unique_ptr<Window> next_window;
    BaseSnapshots bases;
  };
  Remains TakeAll();

  // ---- Going on with a copy in place of all that there is ----

  // Of a copy of an engine of the same layout and length of blocks, see Restore(), and a plan of
  // the settings there, which is allocated. Parameters and slots stay where the copy has them, and
  // that is for the caller to account for; a window is claimed. INVALID_ARGUMENT names what
  // differs, RESOURCE_EXHAUSTED says that there is no room. Takes long; may be called beside
  // everything.
  absl::StatusOr<std::unique_ptr<EngineReplacement>> MakeReplacement(
      std::shared_ptr<UpdatePlan> plan, const EngineVectors& vectors, const WindowFacts& window,
      bool keeps_window, int64_t kept_steps) const;
  // Claims the larger of what there is and what comes, and reserves the slots that come.
  // RESOURCE_EXHAUSTED, with nothing changed, where so much is not left. May be called beside
  // Apply().
  absl::Status ReserveReplacement(const EngineReplacement& replacement);
  // Goes on with that: when the engine is settled, and no other plan is the next one. It is not
  // settled before OwnBlocks(), which takes long and copies what lies in the memory of others to
  // that of the run, as far as there is room, and EndReplacement(). RESOURCE_EXHAUSTED, with
  // nothing changed, if the machine has no memory. The result is what was there before: to let go
  // of it takes long.
  absl::StatusOr<std::shared_ptr<const void>> Replace(
      std::unique_ptr<EngineReplacement> replacement);
  void OwnBlocks();
  void EndReplacement();

 private:
  enum class OnItsWay { kNothing, kStep, kFold, kCorrection, kCopy, kReplacement };
  struct PlanChange {
    std::shared_ptr<UpdatePlan> plan;
    ParameterStore::SlotChange slots;
    bool keeps_window = false;
    int64_t kept_steps = 0;
    int64_t store_bytes = 0;  // With its slots, and these steps.
  };

  int64_t bytes_beside_store() const {
    return (plan_ == nullptr ? 0 : plan_->kept_bytes()) +
           (window_ == nullptr ? 0 : window_->bytes());
  }
  // RESOURCE_EXHAUSTED if the budget has no room for one, or the machine no memory.
  absl::StatusOr<std::unique_ptr<Window>> NewWindow() const;
  bool ReserveMemory(const std::vector<v1::Encoding>& early, bool room_is_made, StepWork* work);
  // One pass of `plan` over what the gradient has of a block.
  void UpdateBlock(const StepGradient& gradient, bool by_spans, int64_t block, PushMeter* meter,
                   StepWork* work);
  void SumBlocks(const StepGradient& gradient, bool by_spans, UpdatePlan* plan);
  // Looks at the result of a step that is not known to be finite, and undoes it if it is not.
  void Check(StepWork* work);
  void TakeOver(PlanChange change);

  const std::string run_id_;
  const Layout& layout_;
  const Clock* const clock_;
  const std::shared_ptr<Executor> executor_;
  MemoryBudget* const budget_;
  const std::shared_ptr<VersionReaders> readers_;
  const RunMemory memory_;

  ParameterStore store_;                   // Written by Apply() alone while a step is on its way.
  std::shared_ptr<UpdatePlan> plan_;       // Null once the engine has ended.
  std::shared_ptr<UpdatePlan> next_plan_;  // Null: there is none.
  std::optional<PlanChange> change_;       // Whose fresh slots are being filled.
  StepGuard guard_;
  std::unique_ptr<Window> window_;  // Null: every push makes a step, or part of one.
  bool keeps_window_ = false;       // After the step that it is part of.
  // The same with the next plan; this one is there if a window has to be.
  std::unique_ptr<Window> next_window_;
  bool next_keeps_window_ = false;
  int64_t next_kept_steps_ = 0;
  BaseSnapshots bases_;
  int64_t step_ = 0;
  OnItsWay on_its_way_ = OnItsWay::kNothing;
  std::weak_ptr<const Snapshot> training_snapshot_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_STEP_ENGINE_H_
