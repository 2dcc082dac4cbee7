#ifndef GRADD_TESTS_CORE_RUN_PAIRS_COMPARED_RUN_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_COMPARED_RUN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/run/run_registry.h"
#include "tests/core/run/pairs/comparison.h"
#include "tests/core/run/pairs/pair_case.h"
#include "tests/core/run/pairs/reference_data.h"
#include "tests/core/run/pairs/reference_run.h"
#include "tests/support/fake_clock.h"
#include "tests/support/scripted_worker.h"
#include "tests/support/virtual_executor.h"

namespace gradd {

// A run of the tiny model on a server of its own, without threads and with a clock that stands
// still, and the reference beside it. Workers 0 and 1, "a" and "b", do to both what they are told;
// then answers, progress and vectors are compared.
//
// What is wrong is in comparison(); then nothing that is called afterwards means anything.
class ComparedRun {
 public:
  // With both workers. All that is random follows from `seed`.
  ComparedRun(const Training& training, PushForm form, Examples examples, uint64_t seed);

  Comparison& comparison() { return comparison_; }
  bool ok() const { return comparison_.ok(); }
  ReferenceRun& reference() { return *reference_; }
  Run& run() { return *run_; }
  const Training& training() const { return training_; }

  // A worker's next push.
  void Push(size_t worker);
  // One with a NaN, of which nothing is made.
  void PushNonFinite(size_t worker);
  // One that is refused, since the run is finished.
  void PushInVain(size_t worker);
  // The next push without its end; then the stream is gone.
  void DieInPush(size_t worker);
  // A new stream, and the base step of a worker that knows nothing of earlier ones.
  void Join(size_t worker);
  void BeginAtPresentStep(size_t worker);
  void Leave(size_t worker);
  // That is what time has done.
  void LeaseEnded(size_t worker);
  void Heartbeat(size_t worker);
  // The next session of the same process sends the last push once more.
  void TakeOver(size_t worker);

  // Lets time pass for both workers and the run.
  void Pass(absl::Duration time) { clock_.Advance(time); }
  // Changes these fields; the run is trained like this from now on.
  void Change(const Training& next, const std::vector<std::string>& paths);
  // The same for what is in no Training.
  void Update(const v1::Run& values, const std::vector<std::string>& paths);

  // Lets the run do what it can, and compares.
  void Settle();

 private:
  struct Worker {
    std::unique_ptr<ScriptedWorker> stream;
    int64_t sequence = 0;   // Of its last push that was not rejected.
    int64_t base_step = 0;  // Of the parameters that it has.
    size_t results = 0;     // Of the stream's, that were looked at.
    uint64_t pushes = 0;
    // The last one, and the batches that it is of.
    ReferenceRun::Push pushed;
    std::vector<int64_t> batches;
    v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
  };

  ReferenceRun::Push NextPush(size_t index) const;
  // Which batches of `data_` make up its examples.
  std::vector<int64_t> BatchesOf(size_t index, const ReferenceRun::Push& push) const;
  // Has the worker lease batches until it has those of the push. What it gets is compared.
  std::vector<int64_t> LeaseFor(size_t index, const ReferenceRun::Push& push);
  // Sends all parts of a push of these batches, but the last `held_back` ones.
  void Send(size_t index, const ReferenceRun::Push& push, const std::vector<int64_t>& batches,
            const std::vector<Part>& parts, size_t held_back = 0);
  const v1::PushResult* NextResult(Worker* worker);
  void ExpectOutcome(const v1::PushResult& result, v1::PushOutcome outcome);
  void Look(const ReferenceRun::Answer& answer);
  void LookForSkipped(size_t index);
  void ReadParameters(Worker* worker);
  void Compare();
  void CompareVectors(const v1::RunProgress& progress);
  std::shared_ptr<const Snapshot> Take(SnapshotContents contents);

  Comparison comparison_;
  Training training_;
  const PushForm form_;
  const uint64_t seed_;
  FakeClock clock_;
  VirtualExecutor* const executor_;  // The registry's.
  RunRegistry registry_;
  std::shared_ptr<Run> run_;
  std::unique_ptr<ReferenceRun> reference_;
  std::optional<ReferenceData> data_;
  std::array<Worker, kPairWorkers> workers_;
  std::shared_ptr<const Snapshot> held_;
  std::set<size_t> skipped_;  // Workers whose push that is not finite has no answer yet.
  int64_t compared_ = 0;      // The step whose vectors were compared last.
  bool has_changed_ = false;  // Since then.
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_COMPARED_RUN_H_
