#ifndef GRADD_TESTS_SUPPORT_REPLAYED_ENGINE_H_
#define GRADD_TESTS_SUPPORT_REPLAYED_ENGINE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/diagnostics/progress_tracker.h"
#include "core/run/event_log.h"
#include "core/step/measurements.h"
#include "core/step/step_engine.h"
#include "core/store/layout.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// The vectors of a run, made once more by a StepEngine alone: from the events in the run's log, as
// they are written down, and the pushes in them. It knows of no run, worker, policy or schedule.
// Not thread safe.
class ReplayedEngine final : public EventLog {
 public:
  // It is cut and worked on in its own way.
  ReplayedEngine(int64_t block_elements, std::unique_ptr<Executor> executor);

  void Append(const state::v1::Event& event, Pushes pushes) override;

  // What the steps from now on measure.
  void SetWanted(WantedMeasurements wanted) { wanted_ = wanted; }
  // What came out of the last step.
  const std::optional<Measurements>& measured() const { return measured_; }
  const StepStatistics& statistics() const { return statistics_; }
  const StepEngine& engine() const { return *engine_; }
  // For other parts of a run, which do not change it. After the first event.
  StepEngine* engine() { return &*engine_; }

  // What went wrong first; empty if nothing did.
  const std::string& fault() const { return fault_; }
  int64_t step() const { return engine_->step(); }
  // With all slots.
  std::shared_ptr<const Snapshot> TakeSnapshot() {
    return engine_->TakeSnapshot(SnapshotContents::kAll);
  }
  // As BitsOf(Run*).
  std::string Bits();

 private:
  void Fail(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }
  void Create(const v1::Run& spec);
  void MakeStep(const state::v1::StepDecision& decision, Pushes pushes);
  void Change(const v1::Run& spec);
  std::shared_ptr<UpdatePlan> PlanOf(const v1::Run& spec);

  const int64_t block_elements_;
  const std::shared_ptr<Executor> executor_;
  const std::shared_ptr<MemoryBudget> budget_;
  std::optional<Layout> layout_;
  std::optional<StepEngine> engine_;
  WantedMeasurements wanted_;
  std::optional<Measurements> measured_;
  StepStatistics statistics_;
  std::string fault_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_REPLAYED_ENGINE_H_
