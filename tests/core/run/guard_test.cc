// What a run does by itself when its loss leaves for good.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_guard.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

class GuardTest : public testing::Test {
 protected:
  // Pushes until the run does not take it; how many were applied.
  static int64_t Push(FakeWorker* worker, int64_t* sequence, int64_t most, double loss) {
    int64_t applied = 0;
    for (; applied < most; ++applied) {
      worker->Push(*sequence + 1, *sequence, {0}, false, 1, loss);
      if (worker->results().size() == static_cast<size_t>(*sequence)) break;  // It waits.
      ++*sequence;
    }
    return applied;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/1, &clock_};
};

TEST_F(GuardTest, PausesWhenTheLossHasLeft) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_guard()->set_action(v1::DivergenceGuard::ACTION_PAUSE);
  const auto run = *registry_.Create("r", spec, "");
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  int64_t sequence = 0;
  EXPECT_EQ(Push(&worker, &sequence, 200, 1), 200);
  const int64_t bad = Push(&worker, &sequence, 200, 1000);
  EXPECT_LE(bad, 3 * DivergenceDetector::kBlockSteps);
  const v1::RunProgress progress = run->Progress();
  EXPECT_EQ(progress.state(), v1::RUN_STATE_PAUSED);
  EXPECT_THAT(progress.reason(), HasSubstr("loss is 1e+03x its best since step 201"));
  EXPECT_FALSE(run->TakeGuardRequest().has_value());

  // Whoever lets it go on knows of it.
  ASSERT_TRUE(run->Resume("ada").ok());
  EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_RUNNING);
}

// A loss may become infinite within a few steps: then it is refused before it has left for long.
TEST_F(GuardTest, PausesWhenPushesAreRefusedSinceTheyAreNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool synchronous : {true, false}) {
    const std::string name = synchronous ? "s" : "a";
    v1::Run spec = synchronous ? SynchronousSpec(1, 2) : AsynchronousSpec(1);
    spec.mutable_guard()->set_action(v1::DivergenceGuard::ACTION_PAUSE);
    const auto run = *registry_.Create(name, spec, "");
    FakeWorker first(&registry_, name, "w0");
    FakeWorker second(&registry_, name, "w1");
    first.Join();
    second.Join();
    first.Push(1, 0, {0}, false, 1, nan);
    // Where each push is a step, one of two workers does not speak for both.
    EXPECT_EQ(run->Progress().state(), synchronous ? v1::RUN_STATE_PAUSED : v1::RUN_STATE_RUNNING);
    if (!synchronous) second.Push(1, 0, {0}, false, 1, nan);
    EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_PAUSED);
    EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_DIVERGED);
    EXPECT_THAT(run->Progress().reason(),
                testing::StartsWith(absl::StrCat("paused by the server, because push 1 from w",
                                                 synchronous ? 0 : 1, " was refused at step 0")));

    // Whoever lets it go on may be wrong.
    ASSERT_TRUE(run->Resume("ada").ok());
    first.Push(1, 0, {0}, false, 1, nan);
    EXPECT_EQ(run->Progress().state(), v1::RUN_STATE_PAUSED);
  }
}

TEST_F(GuardTest, WithoutOneStepsGoOn) {
  const auto run = *registry_.Create("r", AsynchronousSpec(1), "");
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  int64_t sequence = 0;
  EXPECT_EQ(Push(&worker, &sequence, 200, 1), 200);
  EXPECT_EQ(Push(&worker, &sequence, 200, 1000), 200);
  EXPECT_EQ(run->Progress().condition(), v1::RUN_CONDITION_DIVERGED);
}

TEST_F(GuardTest, RefusesWhatCannotBe) {
  struct Case {
    v1::DivergenceGuard::Action action;
    double rate_factor;
    int32_t most_rollbacks;
    const char* message;
  };
  const auto other = static_cast<v1::DivergenceGuard::Action>(7);
  for (const Case& one :
       {Case{other, 0.5, 1, "guard.action: 7"},
        Case{v1::DivergenceGuard::ACTION_PAUSE, 0, 1, "guard.rate_factor: 0 is outside (0, 1]"},
        Case{v1::DivergenceGuard::ACTION_PAUSE, 1.5, 1, "guard.rate_factor: 1.5 is outside"},
        Case{v1::DivergenceGuard::ACTION_PAUSE, 1, -1, "guard.most_rollbacks: -1 is outside"},
        Case{v1::DivergenceGuard::ACTION_PAUSE, 1, 101, "guard.most_rollbacks: 101 is outside"}}) {
    v1::DivergenceGuard guard;
    guard.set_action(one.action);
    guard.set_rate_factor(one.rate_factor);
    guard.set_most_rollbacks(one.most_rollbacks);
    EXPECT_THAT(std::string(ValidateGuard(guard, true).message()), HasSubstr(one.message));
  }
  EXPECT_EQ(RateFactor({}), 0.5);
  EXPECT_EQ(MostRollbacks({}), 3);
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_guard()->set_action(v1::DivergenceGuard::ACTION_ROLL_BACK);
  EXPECT_EQ(ReasonOf(registry_.Create("r", spec, "").status()), "NO_STATE_DIRECTORY");
}

}  // namespace
}  // namespace gradd
