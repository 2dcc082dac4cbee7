// Which rate a run trains at: where none is given, while it warms up, after a live change.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/optim/own_rate.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

google::protobuf::FieldMask Mask(const std::string& path) {
  google::protobuf::FieldMask mask;
  mask.add_paths(path);
  return mask;
}

class LearningRateTest : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<gradd::Run>> Create(const v1::Run& spec) {
    return registry_.Create("r", spec, "");
  }
  // Of a synchronous run of one worker; the parameters after each push of the gradient 1.
  std::vector<float> Train(int steps) {
    if (worker_ == nullptr) {
      worker_ = std::make_unique<FakeWorker>(&registry_, "r", "w");
      worker_->Join();
    }
    std::vector<float> values;
    for (int i = 0; i < steps; ++i) {
      const auto sequence = static_cast<int64_t>(++pushed_);
      worker_->Push(sequence, sequence - 1, {1}, /*want_parameters=*/true);
      values.push_back(worker_->WaitForParameters(pushed_).front());
    }
    return values;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/1, &clock_};
  std::unique_ptr<FakeWorker> worker_;
  int64_t pushed_ = 0;
};

TEST_F(LearningRateTest, ARunWithoutOneIsRefusedUnlessItsMethodHasARateOfItsOwn) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_schedule()->clear_learning_rate();
  const absl::Status refused = Create(spec).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "schedule.learning_rate: not set, expected a number in [0, 1e+06]");

  spec.mutable_optimizer()->mutable_dog();
  const auto run = Create(spec);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ((*run)->Describe(gradd::Run::Detail::kFull).schedule().learning_rate(), 1);
}

TEST_F(LearningRateTest, ARateThatIsGivenCountsForEveryMethod) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_optimizer()->mutable_dog();
  spec.mutable_schedule()->set_learning_rate(0.5);
  EXPECT_EQ((*Create(spec))->Progress().learning_rate(), 0.5);
}

TEST_F(LearningRateTest, AScheduleThatIsReplacedWholeNeedsItsRate) {
  const auto run = *Create(SynchronousSpec(1, 1));
  v1::Run change;
  change.mutable_schedule()->mutable_cosine_decay()->set_decay_steps(1000);
  const absl::Status refused = UpdateAndWait(run.get(), change, Mask("schedule"), "ada");
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(),
            "schedule.learning_rate: not set, and schedule is replaced whole; expected the rate "
            "too, or one field instead of the whole, such as schedule.cosine_decay");
  EXPECT_EQ(run->Progress().learning_rate(), 1);

  ASSERT_TRUE(UpdateAndWait(run.get(), change, Mask("schedule.cosine_decay"), "ada").ok());
  EXPECT_EQ(run->Progress().learning_rate(), 1);
  change.mutable_schedule()->set_learning_rate(0.25);
  ASSERT_TRUE(UpdateAndWait(run.get(), change, Mask("schedule"), "ada").ok());
  EXPECT_EQ(run->Progress().learning_rate(), 0.25);

  // Nor is it taken away by a mask that names it while the message has none.
  EXPECT_THAT(UpdateAndWait(run.get(), v1::Run(), Mask("schedule.learning_rate"), "ada").message(),
              HasSubstr("schedule.learning_rate: not set"));
  EXPECT_EQ(run->Progress().learning_rate(), 0.25);
}

TEST_F(LearningRateTest, AChangeToAMethodThatNeedsARateIsToldSo) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_optimizer()->mutable_prodigy();
  spec.mutable_schedule()->clear_learning_rate();
  const auto run = *Create(spec);
  v1::Run change;
  change.mutable_optimizer()->mutable_adam();
  const absl::Status refused = UpdateAndWait(run.get(), change, Mask("optimizer"), "ada");
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(),
            "schedule.learning_rate: not set, and the run's 1 is that of prodigy, which finds its "
            "step sizes itself; expected a rate for adam in the same change");
  EXPECT_TRUE(run->Describe(gradd::Run::Detail::kFull).optimizer().has_prodigy());

  google::protobuf::FieldMask both = Mask("optimizer.adam");
  both.add_paths("schedule.learning_rate");
  change.mutable_schedule()->set_learning_rate(0.125);
  ASSERT_TRUE(UpdateAndWait(run.get(), change, both, "ada").ok());
  EXPECT_EQ(run->Progress().learning_rate(), 0.125);
}

// A thousandth of what prodigy finds is not what anybody meant.
TEST_F(LearningRateTest, AMethodWithARateOfItsOwnBringsItAlong) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_schedule()->set_learning_rate(0.001);
  const auto run = *Create(spec);
  const auto rate_after = [&](const char* kind) {
    v1::Run change;
    const auto* const field = v1::Optimizer::descriptor()->FindFieldByName(kind);
    change.optimizer().GetReflection()->MutableMessage(change.mutable_optimizer(), field);
    const absl::Status changed = UpdateAndWait(run.get(), change, Mask("optimizer"), "ada");
    EXPECT_TRUE(changed.ok()) << changed;
    return run->Progress().learning_rate();
  };
  EXPECT_EQ(rate_after("momentum"), 0.001);
  EXPECT_EQ(rate_after("prodigy"), 1);
  const v1::Change last = *run->Describe(gradd::Run::Detail::kFull).history().rbegin();
  EXPECT_EQ(last.field(), "schedule.learning_rate") << "it is seen in the history";
  EXPECT_EQ(last.old_value(), "0.001");
  EXPECT_EQ(last.new_value(), "1");

  // A rate that was chosen counts as long as it means the same.
  v1::Run half;
  half.mutable_schedule()->set_learning_rate(0.5);
  ASSERT_TRUE(UpdateAndWait(run.get(), half, Mask("schedule.learning_rate"), "ada").ok());
  EXPECT_EQ(rate_after("dog"), 0.5);
  EXPECT_EQ(rate_after("rprop"), 0.01);
  EXPECT_EQ(rate_after("prodigy"), 1);
}

TEST_F(LearningRateTest, MessagesThatAreReplacedWholeNeedWhatIsRequiredInThem) {
  const auto run = *Create(SynchronousSpec(1, 2));
  v1::Run change;
  change.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(10);
  change.mutable_optimizer()->set_weight_decay(0.1);
  for (const char* const path : {"policy", "policy.synchronous", "optimizer"}) {
    const absl::Status refused = UpdateAndWait(run.get(), change, Mask(path), "ada");
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << path;
  }
  EXPECT_EQ(run->Describe(gradd::Run::Detail::kFull).policy().synchronous().workers(), 2);
}

TEST_F(LearningRateTest, AWarmUpIsNotForMethodsWithARateOfTheirOwn) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_optimizer()->mutable_rprop();
  spec.mutable_schedule()->set_learning_rate(0.5);
  spec.mutable_schedule()->mutable_warm_up()->set_steps(1000);
  const auto run = *Create(spec);
  EXPECT_EQ(run->Progress().learning_rate(), 0.5);
  EXPECT_THAT(Train(2), ElementsAre(-0.5F, -0.5F - 1.2F * 0.5F));
}

TEST_F(LearningRateTest, OthersWarmUp) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_schedule()->mutable_warm_up()->set_steps(4);
  const auto run = *Create(spec);
  EXPECT_EQ(run->Progress().learning_rate(), 0);
  EXPECT_THAT(Train(3), ElementsAre(0.0F, -0.25F, -0.75F));
}

TEST_F(LearningRateTest, AGroupWithSuchAMethodDoesNotWarmUpWithTheOthers) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_schedule()->mutable_warm_up()->set_steps(4);
  v1::ParameterGroup& group = *spec.add_groups();
  group.set_pattern("w");
  group.mutable_optimizer()->mutable_rprop();
  const auto run = *Create(spec);
  EXPECT_THAT(Train(1), ElementsAre(-1.0F));
}

// A run of one worker at step 100, with the rate 1.
class LiveScheduleTest : public LearningRateTest {
 protected:
  void SetUp() override {
    run_ = *Create(SynchronousSpec(1, 1));
    Train(100);
  }
  absl::Status Change(const v1::Run& values, const std::vector<std::string>& paths) {
    google::protobuf::FieldMask mask;
    for (const std::string& path : paths) mask.add_paths(path);
    return UpdateAndWait(run_.get(), values, mask, "ada");
  }
  // As the run says.
  v1::Schedule schedule() const { return run_->Describe(gradd::Run::Detail::kFull).schedule(); }
  double rate() const { return run_->Progress().learning_rate(); }

  std::shared_ptr<gradd::Run> run_;
};

v1::Run CosineOver(int64_t steps) {
  v1::Run values;
  values.mutable_schedule()->mutable_cosine_decay()->set_decay_steps(steps);
  return values;
}

// Of 50 steps that were over before they began nothing was left.
TEST_F(LiveScheduleTest, AShapeThatIsSetCountsFromTheChange) {
  ASSERT_TRUE(Change(CosineOver(50), {"schedule.cosine_decay"}).ok());
  EXPECT_EQ(schedule().begins_at(), 100);
  EXPECT_EQ(rate(), 1);
  Train(25);
  EXPECT_NEAR(rate(), 0.5, 1e-15);
  Train(25);
  EXPECT_EQ(rate(), 0);
}

TEST_F(LiveScheduleTest, ItsWarmUpIsNotSkipped) {
  v1::Run values = CosineOver(50);
  values.mutable_schedule()->set_learning_rate(2);
  values.mutable_schedule()->mutable_warm_up()->set_steps(4);
  ASSERT_TRUE(Change(values, {"schedule"}).ok());
  EXPECT_EQ(schedule().begins_at(), 100);
  EXPECT_EQ(rate(), 0);
  const float before = Train(1).front();
  EXPECT_THAT(Train(2), ElementsAre(before - 0.5F, before - 1.5F));
  EXPECT_EQ(rate(), 1.5);
}

TEST_F(LiveScheduleTest, AWarmUpAloneBeginsAnewToo) {
  v1::Run values;
  values.mutable_schedule()->mutable_warm_up()->set_steps(4);
  ASSERT_TRUE(Change(values, {"schedule.warm_up"}).ok());
  EXPECT_EQ(schedule().begins_at(), 100);
  EXPECT_EQ(rate(), 0);
}

TEST_F(LiveScheduleTest, TheMomentumIsCycledFromTheChangeToo) {
  v1::Run values;
  values.mutable_optimizer()->mutable_momentum();
  values.mutable_schedule()->mutable_one_cycle()->set_total_steps(50);
  values.mutable_schedule()->mutable_one_cycle()->mutable_momentum()->set_high(0.5);
  values.mutable_schedule()->mutable_one_cycle()->mutable_momentum()->set_low(0.25);
  values.mutable_schedule()->mutable_one_cycle()->set_rise_fraction(0);
  values.mutable_schedule()->mutable_one_cycle()->set_end_factor(1);
  ASSERT_TRUE(Change(values, {"optimizer", "schedule.one_cycle"}).ok());
  const float before = Train(1).front();
  // At the peak of the rate its momentum is the lowest. At the end of the cycle it would be 0.5.
  EXPECT_NEAR(Train(1).front() - before, -1.25, 1e-2);
}

TEST_F(LiveScheduleTest, ALearningRateOrAPlateauLeavesItWhereItIs) {
  ASSERT_TRUE(Change(CosineOver(50), {"schedule.cosine_decay"}).ok());
  Train(25);
  v1::Run values = CosineOver(50);
  values.mutable_schedule()->set_learning_rate(2);
  ASSERT_TRUE(Change(values, {"schedule.learning_rate"}).ok());
  EXPECT_EQ(schedule().begins_at(), 100);
  EXPECT_NEAR(rate(), 1, 1e-14);
  values.mutable_schedule()->mutable_reduce_on_plateau()->set_patience(3);
  ASSERT_TRUE(Change(values, {"schedule.reduce_on_plateau"}).ok());
  EXPECT_EQ(schedule().begins_at(), 100);
  // Also where all of the schedule is given, as it is but for these.
  values.mutable_schedule()->set_learning_rate(4);
  values.mutable_schedule()->mutable_reduce_on_plateau()->set_patience(4);
  ASSERT_TRUE(Change(values, {"schedule"}).ok());
  EXPECT_EQ(schedule().begins_at(), 100);
  EXPECT_NEAR(rate(), 2, 1e-14);
  v1::Run others;
  others.mutable_optimizer()->mutable_adam();
  others.set_max_steps(1000);
  ASSERT_TRUE(Change(others, {"optimizer", "max_steps"}).ok());
  EXPECT_EQ(schedule().begins_at(), 100);
}

// As a client does that did not get the answer.
TEST_F(LiveScheduleTest, ARepetitionChangesNothing) {
  v1::Run values = CosineOver(50);
  values.mutable_schedule()->set_learning_rate(1);
  for (const char* const path : {"schedule", "schedule.cosine_decay",
                                 "schedule.cosine_decay."
                                 "decay_steps"}) {
    ASSERT_TRUE(Change(values, {path}).ok()) << path;
    EXPECT_EQ(schedule().begins_at(), 100) << path;
    Train(1);
  }
  EXPECT_EQ(run_->Describe(gradd::Run::Detail::kFull).history_size(), 1);
}

TEST_F(LiveScheduleTest, AnotherChangeOfTheCurveBeginsAnew) {
  ASSERT_TRUE(Change(CosineOver(50), {"schedule.cosine_decay"}).ok());
  Train(10);
  ASSERT_TRUE(Change(CosineOver(60), {"schedule.cosine_decay.decay_steps"}).ok());
  EXPECT_EQ(schedule().begins_at(), 110);
  EXPECT_EQ(rate(), 1);
}

TEST_F(LiveScheduleTest, ItCountsFromWhereItIsTold) {
  v1::Run values = CosineOver(200);
  values.mutable_schedule()->set_begins_at(0);
  ASSERT_TRUE(Change(values, {"schedule.cosine_decay", "schedule.begins_at"}).ok());
  EXPECT_EQ(schedule().begins_at(), 0);
  EXPECT_NEAR(rate(), 0.5, 1e-15);
  values.mutable_schedule()->set_learning_rate(1);
  values.mutable_schedule()->mutable_cosine_decay()->set_decay_steps(100);
  values.mutable_schedule()->set_begins_at(50);
  ASSERT_TRUE(Change(values, {"schedule"}).ok());
  EXPECT_EQ(schedule().begins_at(), 50);
  EXPECT_NEAR(rate(), 0.5, 1e-15);
  values.mutable_schedule()->set_begins_at(100);
  ASSERT_TRUE(Change(values, {"schedule.begins_at"}).ok());
  EXPECT_EQ(rate(), 1);
  // Cleared, it is the run's first step.
  ASSERT_TRUE(Change(v1::Run(), {"schedule.begins_at"}).ok());
  EXPECT_FALSE(schedule().has_begins_at());
  EXPECT_EQ(rate(), 0);

  values.mutable_schedule()->set_begins_at(101);
  const absl::Status refused = Change(values, {"schedule.begins_at"});
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "schedule.begins_at: 101 is above the run's present step 100");
}

TEST_F(LiveScheduleTest, TheHistoryHasIt) {
  ASSERT_TRUE(Change(CosineOver(50), {"schedule.cosine_decay"}).ok());
  const v1::Run run = run_->Describe(gradd::Run::Detail::kFull);
  ASSERT_EQ(run.history_size(), 2);
  EXPECT_EQ(run.history(0).field(), "schedule.cosine_decay");
  EXPECT_EQ(run.history(1).field(), "schedule.begins_at");
  EXPECT_EQ(run.history(1).old_value(), "");
  EXPECT_EQ(run.history(1).new_value(), "100");
  EXPECT_EQ(run.history(1).step(), 100);
}

TEST_F(LearningRateTest, ANewRunsScheduleCountsFromItsFirstStep) {
  v1::Run spec = SynchronousSpec(1, 1);
  spec.mutable_schedule()->mutable_linear()->set_total_steps(2);
  spec.mutable_schedule()->set_begins_at(7);  // Of the run whose description this is.
  const auto run = *Create(spec);
  EXPECT_FALSE(run->Describe(gradd::Run::Detail::kFull).schedule().has_begins_at());
  EXPECT_THAT(Train(3), ElementsAre(-1.0F, -1.5F, -1.5F));
}

TEST(OwnRateTest, IsThatOfTheMethodsWithoutARateToTune) {
  int count = 0;
  const auto& kind = *v1::Optimizer::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kind.field_count(); ++i) {
    const auto number = static_cast<v1::Optimizer::KindCase>(kind.field(i)->number());
    if (OwnRate(number).has_value()) ++count;
  }
  EXPECT_EQ(count, 7);
  EXPECT_EQ(OwnRate(v1::Optimizer::kProdigy), 1);
  EXPECT_EQ(OwnRate(v1::Optimizer::kRprop), 0.01);
  EXPECT_FALSE(OwnRate(v1::Optimizer::kAdam).has_value());
  EXPECT_FALSE(OwnRate(v1::Optimizer::kScheduleFreeAdam).has_value());
}

}  // namespace
}  // namespace gradd
