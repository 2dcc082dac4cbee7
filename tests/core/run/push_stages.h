#ifndef GRADD_TESTS_CORE_RUN_PUSH_STAGES_H_
#define GRADD_TESTS_CORE_RUN_PUSH_STAGES_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/strip.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/virtual_executor.h"

namespace gradd {

// How far a push has come when something happens to it.
enum class Stage {
  kHalf,      // A part of it is staged.
  kHeld,      // Its first part waits for room.
  kWaiting,   // It is complete and waits for its step.
  kFolded,    // It lies in the window.
  kOnItsWay,  // Its step is being applied.
};
inline constexpr Stage kStages[] = {Stage::kHalf, Stage::kHeld, Stage::kWaiting, Stage::kFolded,
                                    Stage::kOnItsWay};
inline constexpr const char* kStageNames[] = {"Half", "Held", "Waiting", "Folded", "OnItsWay"};
inline void PrintTo(Stage stage, std::ostream* out) {
  *out << kStageNames[static_cast<size_t>(stage)];
}

// Too many for a step in the thread that pushes: it is a task of the executor.
inline constexpr int64_t kStageElements = 70'000;
inline constexpr int64_t kStagePushBytes = kStageElements * int64_t{sizeof(float)};

// A synchronous run `r` of two workers, `a` and `b`. Push 1 of `a`, a gradient of 100s, is at that
// stage; `b` has pushed 1s where it takes that. There is room for two pushes. Nothing runs but what
// Settle() lets.
class PushStages {
 public:
  explicit PushStages(Stage stage) : stage_(stage) {
    Limits limits;
    limits.max_staged_bytes = 2 * kStagePushBytes + 100;
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(limits, std::move(executor), &clock_);
    v1::Run spec = SynchronousSpec(kStageElements, 2);
    spec.mutable_lease_duration()->set_seconds(3600);
    if (stage == Stage::kHeld) {
      other_ = *registry_->Create("other", spec, "");
      c_ = Join("other", "c");
      d_ = Join("other", "d");
      c_->Push(1, 0, Gradient(1));
    }
    if (stage == Stage::kFolded) spec.mutable_optimizer()->set_accumulation_steps(2);
    run_ = *registry_->Create("r", spec, "");
    a_ = Join("r", "a");
    b_ = Join("r", "b");
    if (stage == Stage::kHalf || stage == Stage::kHeld) {
      a_->PushPart(1, 0, std::vector<float>(kHalf, 100));
      EXPECT_EQ(a_->requests_held(), stage == Stage::kHeld ? 1U : 0U);
      return;
    }
    a_->Push(1, 0, Gradient(100), /*want_parameters=*/true);
    if (stage == Stage::kOnItsWay) b_->Push(1, 0, Gradient(1));
    if (stage == Stage::kFolded) Settle();
  }

  // What can happen without time.
  void Settle() { executor_->RunAll(); }
  // The rest of a's push, where it is not complete.
  void PushRest() {
    if (stage_ != Stage::kHalf && stage_ != Stage::kHeld) return;
    a_->PushRest(kHalf, std::vector<float>(kStageElements - kHalf, 100), /*want_parameters=*/true);
    Settle();
  }
  // The other run makes its step, and its pushes make room.
  void MakeRoom() {
    if (d_ != nullptr) d_->Push(1, 0, Gradient(1));
    Settle();
  }
  // Both workers push 1s, until there is a step.
  void MakeStep() {
    const int64_t step = run_->Progress().step();
    const v1::Run run = run_->Describe(gradd::Run::Detail::kWorkers);
    a_->Push(run.workers(0).last_sequence() + 1, step, Gradient(1));
    Settle();
    for (int64_t b = run.workers(1).last_sequence(); run_->Progress().step() == step && b < 3;
         ++b) {
      b_->Push(b + 1, step, Gradient(1));
      Settle();
    }
    EXPECT_EQ(run_->Progress().step(), step + 1);
  }
  // Of all elements, which are the same.
  float Parameter() {
    std::vector<float> values;
    run_->RequestSnapshot(SnapshotContents::kEvaluation,
                          [&](const auto& snapshot) { values = ValuesOf(*snapshot); });
    EXPECT_EQ(values, std::vector<float>(values.size(), values[0]));
    return values[0];
  }
  // `ROLLED_BACK`, of each of a's results.
  std::vector<std::string> OutcomesOfA() const {
    std::vector<std::string> outcomes;
    for (const v1::PushResult& result : a_->results()) {
      outcomes.emplace_back(
          absl::StripPrefix(v1::PushOutcome_Name(result.outcome()), "PUSH_OUTCOME_"));
    }
    return outcomes;
  }
  int64_t claimed_bytes() const { return registry_->claimed_bytes(); }
  std::unique_ptr<FakeWorker> Join(const std::string& run, const std::string& worker) {
    auto fake = std::make_unique<FakeWorker>(registry_.get(), run, worker, /*instance=*/1);
    fake->join().set_sends_timelines(true);
    fake->Join();
    return fake;
  }
  static std::vector<float> Gradient(float value) {
    return std::vector<float>(kStageElements, value);
  }

  FakeWorker& a() { return *a_; }
  FakeWorker& b() { return *b_; }
  gradd::Run& run() { return *run_; }

 private:
  static constexpr int64_t kHalf = kStageElements / 2;

  const Stage stage_;
  FakeClock clock_;
  VirtualExecutor* executor_ = nullptr;  // The registry's.
  std::unique_ptr<RunRegistry> registry_;
  std::shared_ptr<gradd::Run> run_;
  std::shared_ptr<gradd::Run> other_;
  std::unique_ptr<FakeWorker> a_;
  std::unique_ptr<FakeWorker> b_;
  std::unique_ptr<FakeWorker> c_;
  std::unique_ptr<FakeWorker> d_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PUSH_STAGES_H_
