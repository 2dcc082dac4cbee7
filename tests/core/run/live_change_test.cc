// A run whose optimizer, rate and stages are changed while it trains.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

using Values = std::vector<float>;

// A run of one synchronous worker.
class OneWorkerRun {
 public:
  explicit OneWorkerRun(const v1::Run& spec) : worker_(&registry_, "r", "w") {
    auto run = registry_.Create("r", spec, "");
    EXPECT_TRUE(run.ok()) << run.status();
    run_ = *run;
    worker_.Join();
  }

  Values Push(const Values& gradient) {
    ++sequence_;
    worker_.Push(sequence_, sequence_ - 1, gradient, /*want_parameters=*/true);
    return worker_.WaitForParameters(sequence_);
  }
  // At which evaluation looks; training may look elsewhere.
  Values Parameters() {
    Values values;
    run_->RequestSnapshot(
        SnapshotContents::kEvaluation,
        [&](const std::shared_ptr<const Snapshot>& snapshot) { values = ValuesOf(*snapshot); });
    return values;
  }
  v1::Run Describe() const { return run_->Describe(Run::Detail::kFull); }
  void Change(const v1::Run& values, const std::string& path) {
    google::protobuf::FieldMask mask;
    mask.add_paths(path);
    Change(values, mask);
  }
  // With the rate: whatever the method's own one is.
  void ChangeOptimizer(v1::Run values, double learning_rate) {
    values.mutable_schedule()->set_learning_rate(learning_rate);
    google::protobuf::FieldMask mask;
    mask.add_paths("optimizer");
    mask.add_paths("schedule.learning_rate");
    Change(values, mask);
  }

 private:
  void Change(const v1::Run& values, const google::protobuf::FieldMask& mask) {
    const absl::Status status = UpdateAndWait(run_.get(), values, mask, "ada");
    EXPECT_TRUE(status.ok()) << mask.ShortDebugString() << ": " << status;
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/1, &clock_};
  std::shared_ptr<Run> run_;
  FakeWorker worker_;
  int64_t sequence_ = 0;
};

std::vector<v1::Optimizer> EveryKind() {
  std::vector<v1::Optimizer> kinds;
  const auto& oneof = *v1::Optimizer::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < oneof.field_count(); ++i) {
    v1::Optimizer& kind = kinds.emplace_back();
    kind.GetReflection()->MutableMessage(&kind, oneof.field(i));
  }
  return kinds;
}

v1::Run SpecAt(float start) {
  v1::Run spec = SynchronousSpec(4, 1);
  v1::Tensor& tensor = *spec.mutable_layout()->mutable_tensors(0);
  tensor.clear_shape();
  tensor.add_shape(2);
  tensor.add_shape(2);
  tensor.mutable_initializer()->set_constant(start);
  return spec;
}

// sgd has no slots; each of the others grows out of it, and then goes on through changes of numbers
// exactly like a run that had it from the beginning.
TEST(LiveChangeTest, AnOptimizerThatComesLaterGoesOnThroughFurtherChanges) {
  for (const v1::Optimizer& kind : EveryKind()) {
    // noisy_sgd needs no slots either: it goes on at the run's step, where the noise has sunk.
    if (kind.has_sgd() || kind.has_noisy_sgd()) continue;
    SCOPED_TRACE(kind.ShortDebugString());
    OneWorkerRun grown(SpecAt(0));
    ASSERT_EQ(grown.Push({-0.5, -0.5, -0.5, -0.5}), Values(4, 0.5));  // Of sgd at the rate 1.
    v1::Run change;
    *change.mutable_optimizer() = kind;
    grown.ChangeOptimizer(change, 1);

    v1::Run spec = SpecAt(0.5);
    *spec.mutable_optimizer() = kind;
    OneWorkerRun fresh(spec);

    const auto push_both = [&](const Values& gradient) {
      const Values parameters = grown.Push(gradient);
      EXPECT_EQ(parameters, fresh.Push(gradient));
      for (const float p : parameters) EXPECT_TRUE(std::isfinite(p));
    };
    const auto change_both = [&](const std::string& path) {
      grown.Change(change, path);
      fresh.Change(change, path);
    };
    push_both({0.1F, -0.2F, 0.3F, 0.4F});
    change.mutable_schedule()->set_learning_rate(0.125);
    change_both("schedule.learning_rate");
    push_both({0.2F, 0.1F, -0.3F, 0.1F});
    change.mutable_optimizer()->set_weight_decay(0.01);
    change_both("optimizer.weight_decay");
    push_both({-0.3F, 0.1F, 0.2F, 0.1F});
    change.mutable_optimizer()->set_centralize_gradient(true);
    change_both("optimizer.centralize_gradient");
    push_both({0.4F, 0.3F, 0.2F, 0.1F});
    change.mutable_optimizer()->mutable_parameter_average()->set_decay(0.5);
    change.set_max_steps(100);
    change_both("max_steps");
    push_both({0.1F, 0.1F, 0.1F, -0.1F});
  }
}

TEST(LiveChangeTest, ADescriptionHasManyTensorsAndChangesInOneMessage) {
  v1::Run spec = SpecAt(0);
  for (int i = 0; spec.layout().ByteSizeLong() < 1'000'000; ++i) {
    spec.mutable_layout()->add_tensors()->set_name(std::string(200, 'x') + std::to_string(i));
  }
  OneWorkerRun run(spec);
  v1::Run change;
  for (int i = 1; i <= 1000; ++i) {
    change.mutable_schedule()->mutable_multi_step_decay()->add_milestones(i);
  }
  constexpr int kChanges = 20;
  for (int i = 0; i < kChanges; ++i) {
    change.mutable_schedule()->mutable_multi_step_decay()->set_gamma(i % 2 == 0 ? 0.5 : 0.25);
    run.Change(change, "schedule.multi_step_decay");
  }
  const v1::Run description = run.Describe();
  EXPECT_LT(description.ByteSizeLong(), size_t{2} << 20);
  EXPECT_EQ(description.history_size(), kChanges);
  EXPECT_EQ(description.history().rbegin()->field(), "schedule.multi_step_decay");
}

// And there and back again: what sgd does does not depend on what was there before.
TEST(LiveChangeTest, AnOptimizerThatGoesLeavesNothingBehind) {
  for (const v1::Optimizer& kind : EveryKind()) {
    SCOPED_TRACE(kind.ShortDebugString());
    v1::Run spec = SpecAt(0.5);
    *spec.mutable_optimizer() = kind;
    OneWorkerRun run(spec);
    run.Push({0.1F, -0.2F, 0.3F, 0.4F});
    run.Push({0.2F, 0.1F, -0.3F, 0.1F});
    const Values before = run.Parameters();
    v1::Run change;
    change.mutable_optimizer()->mutable_sgd();
    run.ChangeOptimizer(change, 1);
    Values expected = before;
    for (float& p : expected) p -= 0.25F;
    EXPECT_EQ(run.Push(Values(4, 0.25)), expected);
    *change.mutable_optimizer() = kind;
    run.Change(change, "optimizer");
    for (const float p : run.Push(Values(4, 0.25))) EXPECT_TRUE(std::isfinite(p));
  }
}

}  // namespace
}  // namespace gradd
