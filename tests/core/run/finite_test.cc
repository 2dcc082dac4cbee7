// No finite gradient leaves a number in a run that is not finite.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/run/every_stage.h"
#include "tests/support/specs.h"
#include "tests/support/trainee.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Values = std::vector<float>;

constexpr size_t kMatrixAndBias = 6 * 8 + 5;

v1::Run SpecOf(const NamedOptimizer& optimizer, int workers) {
  v1::Run spec = SynchronousSpec(1, workers);
  v1::Tensor& matrix = *spec.mutable_layout()->mutable_tensors(0);
  matrix.clear_shape();
  matrix.add_shape(6);
  matrix.add_shape(8);
  matrix.mutable_initializer()->set_constant(1);
  v1::Tensor& bias = *spec.mutable_layout()->add_tensors();
  bias.set_name("bias");
  bias.add_shape(5);
  *spec.mutable_optimizer() = optimizer.spec;
  spec.mutable_schedule()->set_learning_rate(optimizer.learning_rate);
  return spec;
}

Values Ordinary() {
  Values gradient(kMatrixAndBias);
  for (size_t i = 0; i < kMatrixAndBias; ++i) gradient[i] = i % 2 == 0 ? 0.1F : -0.2F;
  return gradient;
}

void ExpectFinite(const Trainee& trainee) {
  const auto snapshot = trainee.TakeSnapshot();
  const auto expect = [](const BlockVector& blocks, const std::string& what) {
    for (const BlockRef& block : blocks) {
      for (int64_t i = 0; block && i < block.elements(); ++i) {
        ASSERT_TRUE(std::isfinite(block.data()[i])) << what << " " << i;
      }
    }
  };
  expect(snapshot->parameters, "parameter");
  for (const SnapshotSlot& slot : snapshot->slots) expect(slot.blocks, slot.name);
}

v1::PushResult PushOne(Trainee* trainee, const Values& gradient) {
  trainee->Send(0, {{0, gradient}});
  return trainee->Results()[0];
}

// By its formula: LARS scales the gradient by the norm of parameters that a huge step has made
// huge.
bool LeavesForGood(const std::string& optimizer) { return optimizer.rfind("lars", 0) == 0; }

class FiniteTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(FiniteTest, AHugeElementIsTakenOrRefusedAndTrainingGoesOn) {
  for (const float magnitude : {2e19F, 1e38F, std::numeric_limits<float>::max()}) {
    for (const size_t count : {size_t{1}, kMatrixAndBias}) {
      for (const int before : {0, 3}) {
        SCOPED_TRACE(testing::Message()
                     << magnitude << " in " << count << " elements after " << before << " steps");
        Trainee trainee(SpecOf(GetParam(), 1));
        for (int i = 0; i < before; ++i) PushOne(&trainee, Ordinary());
        const std::string bits = trainee.Bits();
        Values huge = Ordinary();
        for (size_t i = 0; i < count; ++i) huge[i] = i % 3 == 0 ? -magnitude : magnitude;
        const v1::PushResult result = PushOne(&trainee, huge);
        if (result.outcome() == v1::PUSH_OUTCOME_REJECTED) {
          EXPECT_EQ(result.reason(), "GRADIENT_TOO_LARGE");
          EXPECT_THAT(result.message(), HasSubstr("every gradient is taken"));
          EXPECT_TRUE(trainee.Bits() == bits);
        } else {
          ASSERT_TRUE(IsTaken(result)) << result.message();
          ExpectFinite(trainee);
        }
        for (int i = 0; i < 3; ++i) {
          trainee.Send(0, {{0, Ordinary()}});
          ExpectFinite(trainee);
          if (trainee.run()->Progress().state() == v1::RUN_STATE_PAUSED) break;
          ASSERT_TRUE(IsTaken(trainee.Results()[0]));
        }
        const bool paused = trainee.run()->Progress().state() == v1::RUN_STATE_PAUSED;
        EXPECT_TRUE(!paused || (magnitude > 1e37F && LeavesForGood(GetParam().name)));
      }
    }
  }
}

TEST_P(FiniteTest, TinyElementsAndZerosAreTaken) {
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  for (const float magnitude : {0.0F, kLeast, 1e-40F, 1e-30F, 1e-20F}) {
    for (const int before : {0, 3}) {
      SCOPED_TRACE(testing::Message() << magnitude << " after " << before << " steps");
      Trainee trainee(SpecOf(GetParam(), 1));
      for (int i = 0; i < before; ++i) PushOne(&trainee, Ordinary());
      for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(IsTaken(PushOne(&trainee, Values(kMatrixAndBias, magnitude))));
        ExpectFinite(trainee);
      }
      ASSERT_TRUE(IsTaken(PushOne(&trainee, Ordinary())));
      ExpectFinite(trainee);
      EXPECT_EQ(trainee.run()->Progress().state(), v1::RUN_STATE_RUNNING);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Table, FiniteTest, testing::ValuesIn(EveryOptimizerAndStage()),
                         [](const auto& param) { return param.param.name; });

// One row of tests/golden/finite.json: what came after some ordinary steps, and whether torch's
// parameters and all that its optimizer keeps were finite from then on.
struct GoldenHuge {
  explicit GoldenHuge(const nlohmann::json& row)
      : magnitude(row[0]), count(row[1]), before(row[2]), finite(row[3]) {}
  float magnitude;
  size_t count;
  int before;
  bool finite;
};

void ExpectHugeIsTaken(const NamedOptimizer& optimizer, const GoldenHuge& row) {
  SCOPED_TRACE(testing::Message() << optimizer.name << ": " << row.magnitude << " in " << row.count
                                  << " elements after " << row.before << " steps");
  Trainee trainee(SpecOf(optimizer, 1));
  Values huge = Ordinary();
  for (size_t i = 0; i < row.count; ++i) huge[i] = i % 3 == 0 ? -row.magnitude : row.magnitude;
  for (int step = 0; step < row.before + 4; ++step) {
    const v1::PushResult result = PushOne(&trainee, step == row.before ? huge : Ordinary());
    ASSERT_EQ(result.outcome(), v1::PUSH_OUTCOME_APPLIED) << step << ": " << result.message();
    ExpectFinite(trainee);
  }
}

// Every optimizer that torch has, at its defaults and with options: torch's own word on which huge
// gradients leave all numbers finite.
TEST(FiniteResultTest, WhatTorchTakesIsTaken) {
  std::ifstream file(GRADD_GOLDEN "/finite.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  size_t optimizers = 0;
  size_t taken = 0;
  for (const OptimizerCase& optimizer : OptimizerTable()) {
    if (!golden.contains(optimizer.name)) continue;
    ++optimizers;
    NamedOptimizer named{optimizer.name, {}, optimizer.learning_rate};
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer.spec, &named.spec));
    for (const auto& row : golden[optimizer.name]) {
      const GoldenHuge huge(row);
      ASSERT_TRUE(huge.count == 1 || huge.count == kMatrixAndBias);
      if (!huge.finite) continue;
      ++taken;
      ExpectHugeIsTaken(named, huge);
    }
  }
  EXPECT_EQ(optimizers, golden.size());
  EXPECT_GT(taken, 4 * optimizers);
}

TEST(FiniteResultTest, TheOtherPushesOfAnUndoneStepWaitForAnotherOneOfItsWorker) {
  Trainee trainee(SynchronousSpec(2, 2));
  const Values start = trainee.parameters();
  const float most = std::numeric_limits<float>::max();
  trainee.Send(0, {{0, {most, most}}}, /*examples=*/3);
  trainee.Push(1, {{0, {-1, 1}}});  // The mean is finite: it is applied.
  EXPECT_EQ(trainee.run()->Progress().step(), 1);

  v1::Run spec = SynchronousSpec(2, 2);
  spec.mutable_optimizer()->mutable_ada_grad();
  Trainee squares(spec);
  squares.Send(0, {{0, {most, 1}}});
  squares.Send(1, {{0, {3, 3}}});
  const v1::PushResult refused = squares.worker(0)->WaitForResult(0);
  EXPECT_EQ(refused.outcome(), v1::PUSH_OUTCOME_REJECTED);
  EXPECT_EQ(refused.reason(), "GRADIENT_TOO_LARGE");
  EXPECT_EQ(squares.run()->Progress().step(), 0);
  EXPECT_EQ(squares.run()->Progress().state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(squares.parameters(), Values(2));
  EXPECT_TRUE(squares.worker(1)->results().empty());
  squares.Send(0, {{0, {1, 1}}});  // The same sequence.
  EXPECT_EQ(squares.worker(0)->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(squares.worker(1)->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(squares.run()->Progress().step(), 1);
  EXPECT_EQ(squares.slot(0), Values({4, 4}));
}

TEST(FiniteResultTest, NoBlockLeavesBeforeAStepOfUnknownResultIsSeenToBeFinite) {
  constexpr int64_t kMany = 3 * kTileElements;
  Trainee trainee(SynchronousSpec(kMany, 1));
  FakeWorker* const worker = trainee.worker(0);
  worker->Push(1, 0, Values(kMany, 1), /*want_parameters=*/true);
  worker->WaitForParameters(1);
  EXPECT_EQ(worker->snapshots_sent_early(), 1);
  worker->Push(2, 1, Values(kMany, 2e19F), /*want_parameters=*/true);
  EXPECT_EQ(worker->WaitForParameters(2)[5], -2e19F);
  EXPECT_EQ(worker->snapshots_sent_early(), 1);
}

// That the server has paused the run at `step` because of `what`, and says so: to who asks for the
// run, to its worker, and, once, in the log.
void ExpectPauseIsSaid(Trainee* trainee, const std::string& what, int64_t step) {
  const std::string reason = "paused by the server, because " + what;
  const v1::RunProgress progress = trainee->run()->Progress();
  EXPECT_EQ(progress.state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(progress.step(), step);
  EXPECT_EQ(progress.condition(), v1::RUN_CONDITION_DIVERGED);
  EXPECT_EQ(progress.reason(), reason);
  EXPECT_THAT(trainee->worker(0)->events(), ElementsAre(v1::RUN_EVENT_KIND_PAUSED));
  std::vector<std::string> lines;
  for (int second = 0; second < 3; ++second) {
    trainee->clock()->Advance(absl::Seconds(1));
    trainee->registry()->Tick();
    for (const LogEntry& entry : trainee->registry()->log()->Take(trainee->clock()->Elapsed())) {
      if (entry.event == "run paused") lines.push_back(entry.Line());
    }
  }
  EXPECT_THAT(lines,
              ElementsAre(absl::StrCat("run paused: run=r reason=\"", what, "\" step=", step)));
  const v1::Run shown = trainee->run()->Describe(gradd::Run::Detail::kFull);
  ASSERT_EQ(shown.history_size(), 1);
  EXPECT_EQ(shown.history(0).field(), "state");
  EXPECT_EQ(shown.history(0).author(), "");
  EXPECT_EQ(shown.history(0).new_value(), "\"RUN_STATE_PAUSED\"");
}

TEST(FiniteResultTest, AStepThatNoPushIsToBlameForIsUndoneAndPausesTheRun) {
  v1::Run spec = SynchronousSpec(2, 1);
  spec.mutable_layout()->mutable_tensors(0)->mutable_initializer()->set_constant(3e38F);
  spec.mutable_optimizer()->set_weight_decay(1e6);
  Trainee trainee(spec);
  trainee.Send(0, {{0, {1e10F, 0}}});
  ExpectPauseIsSaid(&trainee,
                    "step 1 was undone, since its result is not finite at a learning rate of 1",
                    /*step=*/0);
  EXPECT_EQ(trainee.parameters(), Values(2, 3e38F));

  v1::Run smaller;
  smaller.mutable_optimizer()->set_weight_decay(0.5);
  google::protobuf::FieldMask mask;
  mask.add_paths("optimizer.weight_decay");
  ASSERT_TRUE(UpdateAndWait(trainee.run(), smaller, mask, "ada").ok());
  ASSERT_TRUE(trainee.run()->Resume("ada").ok());
  EXPECT_EQ(trainee.Results()[0].outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(trainee.parameters(), Values(2, 1.5e38F));
  EXPECT_THAT(trainee.worker(0)->events(),
              ElementsAre(v1::RUN_EVENT_KIND_PAUSED, v1::RUN_EVENT_KIND_RESUMED));
}

// The only way to parameters that are not finite: an ordinary push, parameters at the end of
// float32, and no memory to keep what was before.
TEST(FiniteResultTest, AStepThatCouldNotBeUndonePausesTheRunToo) {
  v1::Run spec = SynchronousSpec(2, 1);
  spec.mutable_layout()->mutable_tensors(0)->mutable_initializer()->set_constant(3e38F);
  spec.mutable_optimizer()->set_weight_decay(1e6);
  Limits limits;
  limits.max_memory_bytes = 2 * 2 * sizeof(float);  // The parameters and a push.
  limits.max_staged_bytes = limits.max_memory_bytes;
  Trainee trainee(spec, kTileElements, /*threads=*/2, limits);
  EXPECT_EQ(PushOne(&trainee, {1e10F, 0}).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_FALSE(std::isfinite(trainee.parameters()[0]));
  ExpectPauseIsSaid(&trainee,
                    "the parameters are not finite after step 1: create the run anew, with a "
                    "smaller learning rate",
                    /*step=*/1);
}

}  // namespace
}  // namespace gradd
