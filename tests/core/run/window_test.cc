// Several pushes that make one step: it is as if they had come together.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "google/protobuf/field_mask.pb.h"
#include "tests/core/run/every_stage.h"
#include "tests/support/no_claims.h"
#include "tests/support/specs.h"
#include "tests/support/trainee.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::FloatEq;
using testing::FloatNear;
using Values = std::vector<float>;

constexpr auto kApplied = v1::PUSH_OUTCOME_APPLIED;
constexpr auto kAccumulated = v1::PUSH_OUTCOME_ACCUMULATED;

struct OnePush {
  float gradient;
  int64_t examples = 1;
  double loss = 1;
};

v1::Run SpecWith(const std::string& optimizer, bool asynchronous, int workers = 1) {
  v1::Run spec = asynchronous ? AsynchronousSpec(1) : SynchronousSpec(1, workers);
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, spec.mutable_optimizer()));
  return spec;
}

// A run of one parameter that begins at 0, and its workers.
class WindowRun {
 public:
  explicit WindowRun(const v1::Run& spec, int workers = 1)
      : registry_(Limits(), /*threads=*/1, &clock_), run_(*registry_.Create("r", spec, "")) {
    for (int i = 0; i < workers; ++i) Join(std::string(1, static_cast<char>('a' + i)));
  }

  void Join(const std::string& worker) {
    workers_.push_back(std::make_unique<FakeWorker>(&registry_, "r", worker));
    workers_.back()->Join();
    sent_.push_back(0);
  }
  // Does not wait for the answer.
  void Send(size_t worker, const OnePush& push) {
    workers_[worker]->Push(++sent_[worker], step(), {push.gradient}, /*want_parameters=*/false,
                           push.examples, push.loss);
  }
  v1::PushResult Push(const OnePush& push, size_t worker = 0) {
    Send(worker, push);
    return Answer(worker);
  }
  v1::PushResult Answer(size_t worker) {
    return workers_[worker]->WaitForResult(static_cast<size_t>(sent_[worker]) - 1);
  }
  void Set(const std::string& optimizer_field, const std::string& text) {
    v1::Run values;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, values.mutable_optimizer()));
    google::protobuf::FieldMask mask;
    mask.add_paths("optimizer." + optimizer_field);
    const absl::Status status = UpdateAndWait(run_.get(), values, mask, "ada");
    ASSERT_TRUE(status.ok()) << status;
  }
  void SetWindow(int window) {
    Set("accumulation_steps", "accumulation_steps: " + std::to_string(window));
  }
  float parameter() const {
    float value = 0;
    run_->RequestSnapshot(SnapshotContents::kEvaluation,
                          [&](const auto& snapshot) { value = ValuesOf(*snapshot)[0]; });
    return value;
  }
  int64_t step() const { return run_->Progress().step(); }
  gradd::Run* run() const { return run_.get(); }
  FakeWorker* worker(size_t index) const { return workers_[index].get(); }
  FakeClock* clock() { return &clock_; }
  void Tick() { registry_.Tick(); }

 private:
  FakeClock clock_;
  RunRegistry registry_;
  std::shared_ptr<gradd::Run> run_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
  std::vector<int64_t> sent_;
};

struct WindowRow {
  const char* name;
  const char* optimizer;  // With rate 1.
  std::vector<OnePush> pushes;
  double moves;
};

const std::vector<WindowRow>& WindowRows() {
  static const auto& rows = *new std::vector<WindowRow>{
      {"weighted by examples", "sgd {}", {{1, 10}, {0, 100}}, -10.0 / 110},
      {"clipped once, by global norm", "sgd {} clip_by_global_norm: 1", {{10}, {-9.5}}, -0.25},
      {"clipped once, the mean above the bound", "sgd {} clip_by_global_norm: 1", {{3}, {0}}, -1},
      {"clipped once, by value", "sgd {} clip_by_value: 1", {{3}, {-1}}, -1},
      {"clipped once, by tensor norm", "sgd {} clip_by_tensor_norm: 1", {{10}, {-9.5}}, -0.25},
      {"the loss is their mean: Polyak's step", "polyak_step_size {}", {{2, 1, 1}, {2, 1, 3}}, -2},
      {"the loss is their mean: MoMo", "momo { beta: 0 }", {{2, 1, 1}, {2, 1, 3}}, -1},
      {"weight decay once", "sgd {} weight_decay: 0.5", {{1}, {1}}, -1},
  };
  return rows;
}

TEST(WindowTest, AStepOfSeveralPushesIsAsIfTheyHadComeTogether) {
  for (const WindowRow& row : WindowRows()) {
    for (const bool asynchronous : {false, true}) {
      SCOPED_TRACE(std::string(row.name) + (asynchronous ? ", asynchronous" : ", synchronous"));
      WindowRun run(SpecWith(
          row.optimizer + std::string(" accumulation_steps: ") + std::to_string(row.pushes.size()),
          asynchronous));
      for (size_t i = 0; i < row.pushes.size(); ++i) {
        EXPECT_EQ(run.parameter(), 0);
        const v1::PushResult result = run.Push(row.pushes[i]);
        EXPECT_EQ(result.outcome(), i + 1 < row.pushes.size() ? kAccumulated : kApplied)
            << result.message();
      }
      EXPECT_NEAR(run.parameter(), row.moves, 1e-6);
      EXPECT_EQ(run.step(), 1);
    }
  }
}

// What every optimizer and stage makes of the same gradients, in windows and as that many workers.
class WindowOptimizerTest : public testing::TestWithParam<NamedOptimizer> {};

TEST_P(WindowOptimizerTest, AWindowEqualsThatManyWorkersWithinRounding) {
  constexpr int kWindow = 3;
  v1::Run spec = SynchronousSpec(1, kWindow);
  *spec.mutable_optimizer() = GetParam().spec;
  spec.mutable_schedule()->set_learning_rate(GetParam().learning_rate);
  WindowRun together(spec, kWindow);
  spec.mutable_optimizer()->set_accumulation_steps(kWindow);
  spec.mutable_policy()->mutable_synchronous()->set_workers(1);
  WindowRun window(spec);
  for (int step = 0; step < 6; ++step) {
    for (int i = 0; i < kWindow; ++i) {
      const OnePush push = {static_cast<float>(std::sin(3 * step + i) + 1.5), 1 + i,
                            1.0 + step + i};
      together.Send(static_cast<size_t>(i), push);
      window.Push(push);
    }
    for (size_t i = 0; i < kWindow; ++i) together.Answer(i);
    const float expected = together.parameter();
    EXPECT_NEAR(window.parameter(), expected, 2e-5 * std::max(1.0F, std::abs(expected)))
        << "step " << step;
  }
  EXPECT_EQ(window.step(), 6);
  EXPECT_NEAR(window.run()->Progress().loss(), together.run()->Progress().loss(), 1e-12);
  EXPECT_EQ(window.run()->Progress().examples(), together.run()->Progress().examples());
}

// All of EveryOptimizerAndStage(), without windows of their own.
std::vector<NamedOptimizer> WithoutWindows() {
  std::vector<NamedOptimizer> all = EveryOptimizerAndStage();
  for (NamedOptimizer& optimizer : all) optimizer.spec.clear_accumulation_steps();
  return all;
}

INSTANTIATE_TEST_SUITE_P(Table, WindowOptimizerTest, testing::ValuesIn(WithoutWindows()),
                         [](const auto& param) { return param.param.name; });

TEST(WindowTest, AChangeThatFillsTheWindowClosesItWithWhatIsThere) {
  for (const bool asynchronous : {false, true}) {
    for (const auto& [window, pushes, then] :
         std::vector<std::tuple<int, int, int>>{{100, 99, 2}, {4, 3, 2}, {4, 3, 3}, {4, 2, 1}}) {
      SCOPED_TRACE(testing::Message()
                   << window << ", " << pushes << ", " << then << ", " << asynchronous);
      WindowRun run(SpecWith("sgd {} accumulation_steps: " + std::to_string(window), asynchronous));
      for (int i = 0; i < pushes; ++i) EXPECT_EQ(run.Push({1}).outcome(), kAccumulated);
      EXPECT_EQ(run.parameter(), 0);
      run.SetWindow(then);
      EXPECT_NEAR(run.parameter(), -1, 1e-6);
      EXPECT_EQ(run.step(), 1);
      EXPECT_EQ(run.run()->Progress().examples(), pushes);
      for (int i = 1; i < then; ++i) EXPECT_EQ(run.Push({1}).outcome(), kAccumulated);
      EXPECT_EQ(run.Push({1}).outcome(), kApplied);
      EXPECT_NEAR(run.parameter(), -2, 1e-6);
    }
  }
}

TEST(WindowTest, AChangeThatDoesNotFillItKeepsWhatIsThere) {
  WindowRun run(SpecWith("sgd {} accumulation_steps: 3", /*asynchronous=*/false));
  run.Push({1});
  run.Push({2});
  run.SetWindow(4);
  EXPECT_EQ(run.step(), 0);
  EXPECT_EQ(run.Push({3}).outcome(), kAccumulated);
  EXPECT_EQ(run.Push({6}).outcome(), kApplied);
  EXPECT_NEAR(run.parameter(), -3, 1e-6);
}

// How windows are cut does not change what an optimizer that counts its steps does: of a constant
// gradient, every one of its steps moves the same.
TEST(WindowTest, TheOptimizersOwnCountGoesOnHoweverWindowsAreCut) {
  for (const char* const optimizer : {"adam {}", "n_adam {}", "r_adam {}", "ad_ema_mix {}",
                                      "adan {}", "yogi {}", "ada_belief {}", "lion {}"}) {
    for (const auto& [first, then] : std::vector<std::pair<int, int>>{{4, 1}, {20, 2}, {2, 20}}) {
      SCOPED_TRACE(testing::Message() << optimizer << ", " << first << " to " << then);
      WindowRun plain(SpecWith(optimizer, /*asynchronous=*/false));
      WindowRun run(
          SpecWith(std::string(optimizer) + " accumulation_steps: " + std::to_string(first),
                   /*asynchronous=*/false));
      for (int i = 0; i < 20 * first; ++i) run.Push({1});
      for (int i = 0; i < 20; ++i) plain.Push({1});
      EXPECT_NEAR(run.parameter(), plain.parameter(), 1e-5 * std::abs(plain.parameter()));
      run.SetWindow(then);
      for (int i = 0; i < then; ++i) run.Push({1});
      plain.Push({1});
      EXPECT_NEAR(run.parameter(), plain.parameter(), 1e-5 * std::abs(plain.parameter()));
      EXPECT_EQ(run.step(), 21);
    }
  }
}

TEST(WindowTest, NoWorkerWaitsForOthersBeforeItsLastPush) {
  WindowRun run(SpecWith("sgd {} accumulation_steps: 3", /*asynchronous=*/false, 2), 2);
  EXPECT_EQ(run.Push({1}, 0).outcome(), kAccumulated);
  EXPECT_EQ(run.Push({1}, 0).outcome(), kAccumulated);
  run.Send(0, {1});
  EXPECT_EQ(run.Push({5}, 1).outcome(), kAccumulated);
  EXPECT_EQ(run.Push({5}, 1).outcome(), kAccumulated);
  EXPECT_EQ(run.step(), 0);
  EXPECT_EQ(run.Push({5}, 1).outcome(), kApplied);
  EXPECT_EQ(run.Answer(0).outcome(), kApplied);
  EXPECT_NEAR(run.parameter(), -3, 1e-6);
  EXPECT_EQ(run.run()->Progress().applied_pushes(), 6);
}

TEST(WindowTest, AtTheDeadlineItClosesWithWhatThereIs) {
  v1::Run spec = SpecWith("sgd {} accumulation_steps: 2", /*asynchronous=*/false, 2);
  spec.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(5);
  WindowRun run(spec, 2);
  EXPECT_EQ(run.Push({4}, 0).outcome(), kAccumulated);
  run.clock()->Advance(absl::Seconds(4));
  run.Tick();
  EXPECT_EQ(run.step(), 0);
  run.clock()->Advance(absl::Seconds(1));
  run.Tick();
  EXPECT_EQ(run.step(), 1);
  EXPECT_EQ(run.parameter(), -4);
}

TEST(WindowTest, WhatAWorkerGaveStaysWhenItGoes) {
  WindowRun run(SpecWith("sgd {} accumulation_steps: 2", /*asynchronous=*/false, 2), 2);
  EXPECT_EQ(run.Push({1, 30}, 0).outcome(), kAccumulated);
  run.worker(0)->Leave();
  EXPECT_EQ(run.Push({3, 5}, 1).outcome(), kAccumulated);
  EXPECT_EQ(run.Push({3, 5}, 1).outcome(), kApplied);
  EXPECT_NEAR(run.parameter(), -1.5, 1e-6);
}

TEST(WindowTest, ARepeatedPushIsADuplicateAndCountsOnce) {
  WindowRun run(SpecWith("sgd {} accumulation_steps: 2", /*asynchronous=*/false));
  EXPECT_EQ(run.Push({1}).outcome(), kAccumulated);
  run.worker(0)->Push(1, 0, {1});
  const v1::PushResult again = run.worker(0)->WaitForResult(1);
  EXPECT_EQ(again.outcome(), v1::PUSH_OUTCOME_DUPLICATE);
  EXPECT_EQ(again.committed_outcome(), kAccumulated);
  EXPECT_EQ(run.step(), 0);
}

TEST(WindowTest, MemoryForItIsClaimedAndGivenBack) {
  v1::Run spec = SynchronousSpec(kTileElements, 1);
  WindowRun run(spec);
  const int64_t bytes = run.run()->Describe(gradd::Run::Detail::kSummary).state_bytes();
  run.SetWindow(5);
  EXPECT_EQ(run.run()->Describe(gradd::Run::Detail::kSummary).state_bytes(),
            bytes + kTileElements * 4);
  run.SetWindow(1);
  EXPECT_EQ(run.run()->Describe(gradd::Run::Detail::kSummary).state_bytes(), bytes);
}

TEST(WindowTest, ItsPushesNeedTheRoomOfOneAtATime) {
  Limits limits;
  limits.max_staged_bytes = 2 * kTileElements * 4;
  FakeClock clock;
  RunRegistry registry(limits, /*threads=*/1, &clock);
  v1::Run spec = SynchronousSpec(kTileElements, 2);
  spec.mutable_optimizer()->set_accumulation_steps(4);
  const auto run = *registry.Create("r", spec, "");
  FakeWorker a(&registry, "r", "a");
  FakeWorker b(&registry, "r", "b");
  a.Join();
  b.Join();
  const Values ones(kTileElements, 1);
  for (int64_t sequence = 1; sequence <= 3; ++sequence) {
    a.Push(sequence, 0, ones);
    EXPECT_EQ(a.WaitForResult(static_cast<size_t>(sequence) - 1).outcome(), kAccumulated);
    AwaitNoClaims(registry);  // What is folded takes no room.
  }
  a.Push(4, 0, ones);
  for (int64_t sequence = 1; sequence <= 4; ++sequence) b.Push(sequence, 0, ones);
  EXPECT_EQ(b.WaitForResult(3).outcome(), kApplied);
  EXPECT_EQ(a.WaitForResult(3).outcome(), kApplied);
  AwaitNoClaims(registry);
}

TEST(WindowTest, MaxStepsAndScheduleCountOptimizerSteps) {
  v1::Run spec = SpecWith("sgd {} accumulation_steps: 2", /*asynchronous=*/false);
  spec.set_max_steps(3);
  spec.mutable_schedule()->mutable_polynomial_decay()->set_decay_steps(2);
  WindowRun run(spec);
  for (int i = 0; i < 6; ++i) run.Push({1});
  EXPECT_EQ(run.run()->Progress().state(), v1::RUN_STATE_FINISHED);
  EXPECT_NEAR(run.parameter(), -1.5, 1e-6) << "rates 1, 1/2 and 0";
}

}  // namespace
}  // namespace gradd
