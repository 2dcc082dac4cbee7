// Parameters that come before the result of the push that they are wanted with.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class EarlyParametersTest : public testing::Test {
 protected:
  static constexpr int64_t kElements = 2 * kBlockElements;

  EarlyParametersTest() {
    auto executor = std::make_unique<VirtualExecutor>(/*seed=*/1);
    executor_ = executor.get();
    registry_ = std::make_unique<RunRegistry>(Limits(), std::move(executor), &clock_);
    run_ = *registry_->Create("r", SynchronousSpec(kElements, 1), "");
  }
  std::unique_ptr<FakeWorker> Join(bool before_result) {
    auto fake = std::make_unique<FakeWorker>(registry_.get(), "r", "a", /*instance=*/1);
    fake->join().set_parameters_before_result(before_result);
    fake->Join();
    return fake;
  }

  FakeClock clock_;
  VirtualExecutor* executor_ = nullptr;  // The registry's.
  std::unique_ptr<RunRegistry> registry_;
  std::shared_ptr<gradd::Run> run_;
};

class ParametersOrderTest : public EarlyParametersTest, public testing::WithParamInterface<bool> {};

TEST_P(ParametersOrderTest, TheResultComesFirstUnlessTheJoinSaysOtherwise) {
  const auto a = Join(GetParam());
  a->Push(1, 0, std::vector<float>(kElements, 1), /*want_parameters=*/true);
  // The step is on its way, and so are its parameters.
  if (GetParam()) {
    EXPECT_THAT(a->results(), IsEmpty());
  } else {
    EXPECT_THAT(a->results(), SizeIs(1));
  }
  EXPECT_EQ(run_->Progress().step(), 0);
  executor_->RunAll();
  ASSERT_THAT(a->results(), SizeIs(1));
  EXPECT_EQ(a->results()[0].outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(a->results()[0].step(), 1);
  EXPECT_EQ(a->results()[0].parameters_follow(), !GetParam());
  EXPECT_EQ(a->snapshots(), 1U);
  EXPECT_EQ(a->snapshots_sent_early(), 1);
  EXPECT_EQ(a->WaitForParameters(1), std::vector<float>(kElements, -1));
  a->Push(2, 1, std::vector<float>(kElements, 1), /*want_parameters=*/true);
  executor_->RunAll();
  EXPECT_THAT(a->results(), SizeIs(2));
  EXPECT_EQ(a->snapshots(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Joins, ParametersOrderTest, testing::Bool());

// What came on a stream that broke counts for nothing.
TEST_F(EarlyParametersTest, TheyComeAnewWhereTheStreamBreaks) {
  auto a = Join(true);
  a->Push(1, 0, std::vector<float>(kElements, 1), /*want_parameters=*/true);
  a->Disconnect();
  const auto again = Join(true);
  EXPECT_EQ(again->welcome()->last_sequence(), 0) << "it is not in the ledger yet";
  again->Push(1, 0, std::vector<float>(kElements, 1), /*want_parameters=*/true);
  executor_->RunAll();
  ASSERT_THAT(again->results(), SizeIs(1));
  EXPECT_EQ(again->results()[0].outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_TRUE(again->results()[0].parameters_follow());
  EXPECT_EQ(again->WaitForParameters(1), std::vector<float>(kElements, -1));
  EXPECT_EQ(run_->Progress().step(), 1);
}

}  // namespace
}  // namespace gradd
