#ifndef GRADD_TESTS_CORE_RUN_DATA_RUN_TEST_H_
#define GRADD_TESTS_CORE_RUN_DATA_RUN_TEST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/run/limits.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/replayed_record.h"
#include "tests/support/virtual_executor.h"

namespace gradd {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// `batches` batches of two examples; of several, the last one has one.
inline v1::Run WithBatches(v1::Run spec, int64_t batches) {
  spec.mutable_data()->set_examples(batches == 1 ? 2 : 2 * batches - 1);
  spec.mutable_data()->set_batch_size(2);
  spec.mutable_data()->set_epochs(1);
  spec.mutable_optimizer()->mutable_skip_non_finite();
  return spec;
}

// Nothing runs but what Settle() lets. At the end, the events have led to the runs' records.
class DataRunTest : public testing::Test {
 protected:
  explicit DataRunTest(const Limits& limits = Limits()) {
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(limits, std::move(executor), &clock_);
    registry_->SetEventLogs([this](const std::string& run) {
      return replayed_[run] = std::make_shared<ReplayedRecord>();
    });
  }
  ~DataRunTest() override {
    for (const auto& [run, replayed] : replayed_) {
      state::v1::RunState state;
      (*registry_->Find("runs/" + run))->WriteState(&state);
      EXPECT_EQ(replayed->Compare(state, /*reads_back=*/true), "") << run;
    }
    Settle();
  }

  void Create(const v1::Run& spec) { run_ = *registry_->Create("r", spec, ""); }
  std::unique_ptr<FakeWorker> Join(const std::string& worker, uint64_t instance = 1) {
    auto fake = std::make_unique<FakeWorker>(registry_.get(), "r", worker, instance);
    fake->join().set_sends_timelines(true);
    fake->Join();
    return fake;
  }
  void Settle() {
    while (executor_->RunOne()) {
    }
  }
  // What the worker gets when it asks; empty: nothing yet.
  std::vector<int64_t> Lease(FakeWorker* worker, int64_t count) {
    const size_t before = worker->leases().size();
    worker->LeaseBatches(count);
    Settle();
    const std::vector<v1::BatchLease> leases = worker->leases();
    return leases.size() == before ? std::vector<int64_t>() : NumbersOf(leases.back().ranges());
  }
  // What becomes of a push of these batches that says that it has so many examples, if that is
  // known at once; else 0.
  v1::PushResult Push(FakeWorker* worker, int64_t sequence,
                      const std::vector<std::pair<int64_t, int64_t>>& batches, int64_t examples,
                      double loss = 1) {
    const size_t before = worker->results().size();
    worker->SetBatches(batches);
    worker->Push(sequence, run_->Progress().step(), {1}, /*want_parameters=*/false, examples, loss);
    Settle();
    const std::vector<v1::PushResult> results = worker->results();
    return results.size() == before ? v1::PushResult() : results.back();
  }
  v1::PushOutcome Outcome(FakeWorker* worker, int64_t sequence,
                          const std::vector<std::pair<int64_t, int64_t>>& batches,
                          int64_t examples = 2, double loss = 1) {
    return Push(worker, sequence, batches, examples, loss).outcome();
  }
  // The worker is gone, and its lease ends; `others` give signs of life.
  void Lose(std::unique_ptr<FakeWorker> worker, const std::vector<FakeWorker*>& others) {
    worker->Disconnect();
    clock_.Advance(absl::Seconds(15));
    for (FakeWorker* other : others) {
      v1::TrainRequest request;
      request.mutable_heartbeat();
      other->Request(std::move(request));
    }
    registry_->Tick();
    Settle();
  }
  v1::DataProgress Data() const { return run_->Progress().data(); }
  v1::RunState State() const { return run_->Progress().state(); }

  FakeClock clock_;
  std::map<std::string, std::shared_ptr<ReplayedRecord>> replayed_;  // By run.
  VirtualExecutor* executor_ = nullptr;
  std::unique_ptr<RunRegistry> registry_;
  std::shared_ptr<gradd::Run> run_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_DATA_RUN_TEST_H_
