#ifndef GRADD_TESTS_CORE_RUN_THREE_WORKERS_TEST_H_
#define GRADD_TESTS_CORE_RUN_THREE_WORKERS_TEST_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/run/limits.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/update.h"
#include "tests/support/virtual_executor.h"

namespace gradd {

// A run with the workers "a", "b" and "c", on a server where nothing happens but what a test lets.
class ThreeWorkersTest : public testing::Test {
 protected:
  explicit ThreeWorkersTest(const Limits& limits = Limits())
      : registry_(limits, std::unique_ptr<Executor>(executor_), &clock_) {}

  void CreateAndJoin(const v1::Run& spec) {
    run_ = *registry_.Create("r", spec, "");
    for (const char* const worker : {"a", "b", "c"}) {
      workers_.push_back(std::make_unique<FakeWorker>(&registry_, "r", worker));
      workers_.back()->Join();
    }
  }
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    registry_.Tick();
    executor_->RunAll();
  }
  void Change(const std::string& path, const v1::Run& values) {
    google::protobuf::FieldMask mask;
    mask.add_paths(path);
    auto answer = BeginUpdate(run_.get(), values, mask);
    executor_->RunAll();
    ASSERT_TRUE(IsAnswered(answer));
    const absl::Status status = answer.get().status();
    EXPECT_TRUE(status.ok()) << status;
  }
  int64_t step() const { return run_->Progress().step(); }

  FakeClock clock_;
  VirtualExecutor* executor_ = new VirtualExecutor(/*seed=*/1);  // The registry's.
  RunRegistry registry_;
  std::shared_ptr<gradd::Run> run_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
  int64_t sequences_[3] = {};  // Of their last pushes.
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_THREE_WORKERS_TEST_H_
