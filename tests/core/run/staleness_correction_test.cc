// Asynchronous runs that correct stale gradients.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
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

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kWorkers = 9;

v1::SynchronizationPolicy Correcting(const std::string& how) {
  v1::SynchronizationPolicy policy;
  EXPECT_TRUE(
      google::protobuf::TextFormat::ParseFromString("asynchronous { " + how + " }", &policy))
      << how;
  return policy;
}

// A run of a few parameters, plain SGD with a learning rate of 1/8, and nine workers.
class StalenessCorrectionTest : public testing::Test {
 protected:
  static constexpr double kRate = 0.125;

  v1::Run Spec(const std::string& how) const {
    v1::Run spec = AsynchronousSpec(elements_);
    spec.mutable_schedule()->set_learning_rate(kRate);
    *spec.mutable_policy() = Correcting(how);
    return spec;
  }
  void Create(const v1::Run& spec) {
    workers_.clear();
    std::fill(std::begin(sequences_), std::end(sequences_), 0);
    if (run_ != nullptr) {
      ASSERT_TRUE(registry_.Delete("runs/r").ok());
    }
    run_ = *registry_.Create("r", spec, "");
    for (size_t i = 0; i < kWorkers; ++i) {
      workers_.push_back(std::make_unique<FakeWorker>(&registry_, "r", "w" + std::to_string(i)));
      workers_.back()->Join();
    }
  }
  v1::PushOutcome Push(size_t worker, int64_t base_step, float value) {
    const std::vector<float> gradient(static_cast<size_t>(elements_), value);
    workers_[worker]->Push(++sequences_[worker], base_step, gradient);
    executor_->RunAll();
    const v1::PushResult result = workers_[worker]->results().back();
    if (result.outcome() == v1::PUSH_OUTCOME_REJECTED) --sequences_[worker];
    return result.outcome();
  }
  int64_t step() const { return run_->Progress().step(); }
  std::vector<float> Parameters() const {
    std::vector<float> values;
    run_->RequestSnapshot(SnapshotContents::kAll,
                          [&](const auto& snapshot) { values = ValuesOf(*snapshot); });
    return values;
  }
  absl::Status Change(const v1::SynchronizationPolicy& policy) {
    google::protobuf::FieldMask mask;
    mask.add_paths("policy");
    v1::Run values;
    *values.mutable_policy() = policy;
    auto answer = BeginUpdate(run_.get(), values, mask);
    executor_->RunAll();
    return answer.get().status();
  }

  int64_t elements_ = 3;
  FakeClock clock_;
  VirtualExecutor* executor_ = new VirtualExecutor(/*seed=*/1);  // The registry's.
  RunRegistry registry_{Limits(), std::unique_ptr<Executor>(executor_), &clock_};
  std::shared_ptr<gradd::Run> run_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
  int64_t sequences_[kWorkers] = {};
};

// The method in double, on one parameter: worker i pushes its second gradient with a staleness of
// 8 - i + i, as all eight others and its own first one have come since.
class Program {
 public:
  explicit Program(double rate) : rate_(rate), history_({0}) {}
  void Step(int64_t base_step, double gradient, double strength, double alpha, double cutoff) {
    const double now = history_.back();
    const double base = history_[static_cast<size_t>(base_step)];
    const auto age = static_cast<double>(history_.size() - 1) - static_cast<double>(base_step);
    double corrected = gradient + strength * gradient * gradient * (now - base);
    corrected *= std::exp(-alpha * age);
    if (cutoff > 0) corrected *= 0.5 * (1 + std::cos(std::acos(-1.0) * age / cutoff));
    history_.push_back(now - rate_ * corrected);
  }
  double parameter() const { return history_.back(); }

 private:
  const double rate_;
  std::vector<double> history_;
};

TEST_F(StalenessCorrectionTest, EqualsAProgramInDoubleForEachStaleness) {
  struct Row {
    std::string how;
    double strength = 0;
    double alpha = 0;
    double cutoff = 0;
  };
  const std::vector<Row> rows = {
      {"delay_compensation { strength: 0.75 kept_steps: 8 }", 0.75},
      {"age_decay { alpha: 0.2 }", 0, 0.2},
      {"age_decay { alpha: 0.05 cutoff: 9 }", 0, 0.05, 9},
      {"", 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.how);
    Create(Spec(row.how));
    Program program(kRate);
    // In the first round the staleness of worker i is i; later each is behind by all others.
    std::vector<int64_t> bases(kWorkers, 0);
    for (int round = 0; round < 4; ++round) {
      for (size_t worker = 0; worker < kWorkers; ++worker) {
        const float gradient = 0.5F + 0.25F * static_cast<float>((worker * 7 + round) % 5);
        EXPECT_LE(step() - bases[worker], 8);
        ASSERT_EQ(Push(worker, bases[worker], gradient), v1::PUSH_OUTCOME_APPLIED);
        program.Step(bases[worker], gradient, row.strength, row.alpha, row.cutoff);
        bases[worker] = step();
        for (const float parameter : Parameters()) {
          ASSERT_NEAR(parameter, program.parameter(), 1e-6 * std::abs(program.parameter()) + 1e-7);
        }
      }
    }
  }
}

TEST_F(StalenessCorrectionTest, APushFromParametersThatAreNotKeptIsTreatedAsThePolicySays) {
  const std::string compensation = "delay_compensation { strength: 0.5 kept_steps: 2 ";
  for (const bool uncorrected : {false, true}) {
    SCOPED_TRACE(uncorrected);
    Create(Spec(compensation + (uncorrected ? "old_bases: OLD_BASES_UNCORRECTED }" : "}")));
    for (int i = 0; i < 3; ++i) Push(0, step(), 1);
    const float before = Parameters()[0];
    EXPECT_EQ(Push(1, 0, 2), uncorrected ? v1::PUSH_OUTCOME_APPLIED : v1::PUSH_OUTCOME_STALE);
    EXPECT_FLOAT_EQ(Parameters()[0], uncorrected ? before - 0.25F : before);
    const int64_t base = step() - 2;
    EXPECT_EQ(Push(2, base, 2), v1::PUSH_OUTCOME_APPLIED) << "two steps are kept";
  }
}

TEST_F(StalenessCorrectionTest, CanBeTurnedOnAndOffWhileTheRunTrains) {
  Create(Spec(""));
  for (int i = 0; i < 3; ++i) Push(0, step(), 1);
  const int64_t before = run_->Describe(gradd::Run::Detail::kFull).state_bytes();
  ASSERT_TRUE(Change(Correcting("delay_compensation { strength: 0.5 kept_steps: 3 }")).ok());
  EXPECT_EQ(run_->Describe(gradd::Run::Detail::kFull).state_bytes() - before, 4 * 3 * 4)
      << "three steps, and one that is in use";
  EXPECT_EQ(Push(1, 2, 1), v1::PUSH_OUTCOME_STALE) << "nothing was kept until now";
  const int64_t base = step();
  const float at_base = Parameters()[0];
  Push(0, base, 1);
  const float now = Parameters()[0];
  EXPECT_EQ(Push(2, base, 2), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_FLOAT_EQ(Parameters()[0], now - 0.125F * (2 + 0.5F * 4 * (now - at_base)));
  ASSERT_TRUE(Change(Correcting("age_decay { alpha: 1 }")).ok());
  EXPECT_EQ(run_->Describe(gradd::Run::Detail::kFull).state_bytes(), before);
  const float later = Parameters()[0];
  EXPECT_EQ(Push(3, step() - 1, 2), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_FLOAT_EQ(Parameters()[0], later - 0.25F * std::exp(-1.0F));
  const v1::Run described = run_->Describe(gradd::Run::Detail::kFull);
  EXPECT_EQ(described.history(described.history_size() - 1).field(), "policy");
}

TEST_F(StalenessCorrectionTest, IsRefusedWithoutRoomForWhatItKeeps) {
  elements_ = 1'000'000;
  Limits limits;
  limits.max_state_bytes = 8 * elements_ * 4;
  RunRegistry small(limits, 1, &clock_);
  const auto refused =
      small.Create("x", Spec("delay_compensation { strength: 1 kept_steps: 8 }"), "").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("policy.asynchronous.delay_compensation.kept_steps: 8 takes 36000000 "
                        "bytes, 4000000 for each and one more, expected at most 6, which fit: "
                        "run \"x\" needs 40000000 bytes"));
  const auto run = *small.Create("x", Spec("delay_compensation { strength: 1 }"), "");
  google::protobuf::FieldMask mask;
  mask.add_paths("policy.asynchronous.delay_compensation.kept_steps");
  v1::Run values;
  values.mutable_policy()->mutable_asynchronous()->mutable_delay_compensation()->set_kept_steps(8);
  const absl::Status changed = UpdateAndWait(run.get(), values, mask, "");
  EXPECT_EQ(changed.code(), absl::StatusCode::kResourceExhausted) << changed;
  EXPECT_THAT(std::string(changed.message()),
              HasSubstr("delay_compensation.kept_steps: 8 takes 36000000 bytes, 4000000 for each "
                        "and one more, expected at most 6, which fit"));
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kFull).state_bytes(), 6 * elements_ * 4);
  // It is not the field's fault where something else has grown.
  mask.set_paths(0, "optimizer");
  values.mutable_optimizer()->mutable_ams_grad();
  const absl::Status grown = UpdateAndWait(run.get(), values, mask, "");
  EXPECT_EQ(grown.code(), absl::StatusCode::kResourceExhausted) << grown;
  EXPECT_THAT(std::string(grown.message()), Not(HasSubstr("kept_steps")));
  const auto none = small.Create("y", Spec("delay_compensation { strength: 1 }"), "").status();
  EXPECT_THAT(std::string(none.message()),
              HasSubstr("kept_steps: 4 takes 20000000 bytes, 4000000 for each and one more, "
                        "expected no delay_compensation, since not even 1 fits: run \"y\""));
  limits.max_state_bytes = elements_;
  RunRegistry smaller(limits, 1, &clock_);
  const auto without = smaller.Create("x", Spec("delay_compensation { strength: 1 }"), "").status();
  EXPECT_EQ(without.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(without.message()), Not(HasSubstr("kept_steps")))
      << "it has no room without, either";
}

// As a gradient that is too large by itself is.
TEST_F(StalenessCorrectionTest, WhatACorrectionMakesTooLargeIsRejected) {
  Create(Spec("delay_compensation { strength: 1e6 }"));
  Push(0, 0, 1e8F);
  EXPECT_EQ(Push(1, 0, 1e18F), v1::PUSH_OUTCOME_REJECTED);
  EXPECT_THAT(workers_[1]->results().back().message(), HasSubstr("is not finite"));
  EXPECT_EQ(step(), 1);
  EXPECT_FLOAT_EQ(Parameters()[0], -0.125e8F);
  EXPECT_EQ(Push(1, 1, 8), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_RUNNING);
}

// As one that is not finite by itself is: its sequence is used up, and so many in a row are
// skipped.
TEST_F(StalenessCorrectionTest, WhatACorrectionMakesInfiniteIsSkippedWhereThatIsAllowed) {
  for (const int window : {1, 2}) {
    SCOPED_TRACE(window);
    v1::Run spec = Spec("delay_compensation { strength: 1e6 }");
    spec.mutable_optimizer()->mutable_skip_non_finite()->set_max_in_a_row(1);
    spec.mutable_optimizer()->set_accumulation_steps(window);
    Create(spec);
    for (int i = 0; i < window; ++i) Push(0, 0, 1e8F);
    ASSERT_EQ(step(), 1);
    EXPECT_EQ(Push(1, 0, 1e18F), v1::PUSH_OUTCOME_SKIPPED);
    EXPECT_EQ(Push(2, 0, 1e18F), v1::PUSH_OUTCOME_REJECTED) << "the second one in a row";
    EXPECT_EQ(step(), 1);
    EXPECT_FLOAT_EQ(Parameters()[0], -0.125e8F);
    for (int i = 0; i < window; ++i) {
      EXPECT_NE(Push(1, 1, 8), v1::PUSH_OUTCOME_REJECTED) << "its next sequence";
    }
    EXPECT_EQ(step(), 2);
    EXPECT_EQ(Push(2, 0, 1e18F), v1::PUSH_OUTCOME_SKIPPED);
    EXPECT_EQ(Push(3, 2, std::numeric_limits<float>::quiet_NaN()), v1::PUSH_OUTCOME_REJECTED);
    EXPECT_EQ(run_->Progress().state(), v1::RUN_STATE_RUNNING);
  }
}

TEST_F(StalenessCorrectionTest, CorrectsWhatIsFoldedIntoAWindow) {
  v1::Run spec = Spec("delay_compensation { strength: 0.5 }");
  spec.mutable_optimizer()->set_accumulation_steps(2);
  Create(spec);
  Push(0, 0, 1);
  Push(1, 0, 1);
  ASSERT_EQ(step(), 1);
  const float now = Parameters()[0];
  EXPECT_EQ(Push(2, 0, 2), v1::PUSH_OUTCOME_ACCUMULATED);
  EXPECT_EQ(Push(3, 1, 4), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_FLOAT_EQ(Parameters()[0], now - 0.125F * (0.5F * (2 + 0.5F * 4 * now) + 0.5F * 4));
}

// The correction is on its way when the policy changes: the step takes the gradient as it came.
TEST_F(StalenessCorrectionTest, WhatWasCorrectedForAnotherPolicyIsTakenAsItCame) {
  elements_ = 100'000;  // Its work is done on the pool.
  Create(Spec("delay_compensation { strength: 0.5 }"));
  Push(0, 0, 1);
  const float now = Parameters()[0];
  const std::vector<float> gradient(static_cast<size_t>(elements_), 2);
  workers_[1]->Push(1, 0, gradient);
  EXPECT_EQ(step(), 1) << "the correction waits for a thread";
  google::protobuf::FieldMask mask;
  mask.add_paths("policy");
  v1::Run values;
  *values.mutable_policy() = Correcting("");
  auto answer = BeginUpdate(run_.get(), values, mask);
  executor_->RunAll();
  ASSERT_TRUE(answer.get().ok());
  EXPECT_EQ(step(), 2);
  EXPECT_FLOAT_EQ(Parameters()[0], now - 0.25F);
}

// Another step is made while a push that was corrected waits, as the run is paused.
TEST_F(StalenessCorrectionTest, IsCorrectedAnewForALaterStep) {
  elements_ = 100'000;
  Create(Spec("delay_compensation { strength: 0.5 }"));
  Push(0, 0, 1);
  const float base = 0;
  const std::vector<float> gradient(static_cast<size_t>(elements_), 2);
  // Two wait for a thread. The second one's step comes after that of the first.
  workers_[1]->Push(1, 0, gradient);
  workers_[2]->Push(1, 0, gradient);
  executor_->RunAll();
  EXPECT_EQ(step(), 3);
  float expected = -0.125F;
  for (int i = 0; i < 2; ++i) {
    expected -= 0.125F * (2 + 0.5F * 4 * (expected - base));
  }
  EXPECT_FLOAT_EQ(Parameters()[0], expected);
}

// Several blocks, on threads, and workers whose parameters leave while steps are made.
TEST_F(StalenessCorrectionTest, OnThreadsToTheSameBits) {
  elements_ = 3 * kBlockElements + 17;
  const v1::Run spec = Spec("delay_compensation { strength: 0.5 }");
  const std::vector<float> gradient(static_cast<size_t>(elements_), 1.5F);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 3}) {
    RunRegistry registry(Limits(), threads, &clock_);
    const auto run = *registry.Create("r", spec, "");
    FakeWorker fast(&registry, "r", "fast");
    FakeWorker slow(&registry, "r", "slow");
    fast.Join();
    slow.Join();
    for (int64_t i = 0; i < 3; ++i) {
      fast.Push(2 * i + 1, 2 * i, gradient, /*want_parameters=*/true);
      fast.WaitForResult(static_cast<size_t>(2 * i));
      slow.Push(i + 1, 2 * i, gradient);
      slow.WaitForResult(static_cast<size_t>(i));
      if (i == 2) break;
      fast.Push(2 * i + 2, 2 * i + 2, gradient);
      fast.WaitForResult(static_cast<size_t>(2 * i + 1));
    }
    run->RequestSnapshot(SnapshotContents::kAll,
                         [&](const auto& snapshot) { results.push_back(ValuesOf(*snapshot)); });
  }
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace gradd
