// How much of a run is done without a break: others, who take turns with it, wait for so long.

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 20;  // Of a piece.
constexpr int64_t kAllElements = 6 * kMostElements;

// Notes into how many pieces each piece of work is cut.
class CountingExecutor final : public Executor {
 public:
  CountingExecutor(std::unique_ptr<Executor> executor, std::shared_ptr<std::vector<int64_t>> counts)
      : executor_(std::move(executor)), counts_(std::move(counts)) {}

  std::unique_ptr<Executor> Share() const override {
    return std::make_unique<CountingExecutor>(executor_->Share(), counts_);
  }
  int threads() const override { return executor_->threads(); }
  void Schedule(std::function<void()> task) override { executor_->Schedule(std::move(task)); }
  void ParallelFor(int64_t count, const std::function<void(int64_t)>& task) override {
    counts_->push_back(count);
    executor_->ParallelFor(count, task);
  }

 private:
  const std::unique_ptr<Executor> executor_;
  const std::shared_ptr<std::vector<int64_t>> counts_;
};

class PiecesTest : public testing::Test {
 protected:
  PiecesTest() {
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(
        Limits(), std::make_unique<CountingExecutor>(std::move(executor), counts_), &clock_);
  }
  // Everything that goes over all of the run's vectors since the last call is cut finely enough.
  void ExpectPieces(const std::string& what, size_t at_least_passes) {
    SCOPED_TRACE(what);
    EXPECT_GE(counts_->size(), at_least_passes);
    for (const int64_t count : *counts_) {
      EXPECT_TRUE(count == 0 || count >= kAllElements / kMostElements) << count;
    }
    counts_->clear();
  }

  FakeClock clock_;
  VirtualExecutor* executor_ = nullptr;  // Under the registry's.
  const std::shared_ptr<std::vector<int64_t>> counts_ = std::make_shared<std::vector<int64_t>>();
  std::unique_ptr<RunRegistry> registry_;
};

TEST_F(PiecesTest, NoneHasMoreThanAMillionElements) {
  const auto run = *registry_->Create("r", AsynchronousSpec(kAllElements), "");
  ExpectPieces("creation", 1);
  FakeWorker worker(registry_.get(), "r", "w");
  worker.Join();
  const std::vector<float> ones(kAllElements, 1);
  int64_t step = 0;
  for (const char* optimizer :
       {"adam {}", "lamb {}", "prodigy {}", "adam {} clip_by_global_norm: 1",
        "momentum {} accumulation_steps: 2"}) {
    v1::Run spec;
    google::protobuf::FieldMask mask;
    mask.add_paths("optimizer");
    mask.add_paths("schedule.learning_rate");
    spec.mutable_schedule()->set_learning_rate(1e-3);
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, spec.mutable_optimizer()));
    const auto answer = BeginUpdate(run.get(), spec, mask);
    executor_->RunAll();
    ExpectPieces(std::string("a change to ") + optimizer, 0);
    for (int push = 0; push < 2; ++push) {
      worker.Push(step + 1, run->Progress().step(), ones);
      ++step;
      executor_->RunAll();
    }
    EXPECT_EQ(worker.results().size(), static_cast<size_t>(step));
    ExpectPieces(std::string("steps of ") + optimizer, 2);
  }
}

}  // namespace
}  // namespace gradd
