// What a run says of its workers' gradients as they are before they are merged: how noisy they are,
// and whose agrees least with the others'.

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/specs.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

// One step, of a push of each worker.
void Step(Trainee* trainee, const std::vector<std::vector<float>>& gradients,
          const std::vector<int64_t>& examples) {
  for (size_t i = 0; i < gradients.size(); ++i) {
    Part part;
    part.values = gradients[i];
    trainee->Push(i, {part}, examples[i]);
  }
}

TEST(PushAgreementTest, SeveralWorkersShowTheNoiseScaleAndWhoAgreesLeast) {
  Trainee trainee(SynchronousSpec(2, 3));
  EXPECT_FALSE(trainee.run()->Progress().has_noise_scale());
  Step(&trainee, {{3, 3}, {1, 1}, {2, 2}}, {1, 1, 2});
  // G = (2, 2); S = (18 + 2 + 2 * 8 - 4 * 8) / 2 = 2; N = 8 - 2 / 4 = 7.5.
  v1::RunProgress progress = trainee.run()->Progress();
  EXPECT_NEAR(progress.noise_scale(), 2 / 7.5, 1e-6);
  EXPECT_NEAR(progress.lowest_agreement(), 1, 1e-6);

  Step(&trainee, {{1, 2}, {-1, -2}, {1, 2}}, {4, 4, 4});
  progress = trainee.run()->Progress();
  EXPECT_NEAR(progress.lowest_agreement(), -1, 1e-6);
  EXPECT_EQ(progress.lowest_agreement_worker(), "b");
}

TEST(PushAgreementTest, OneWorkerShowsNeither) {
  Trainee alone(SynchronousSpec(2, 1));
  Step(&alone, {{1, 2}}, {8});
  EXPECT_TRUE(alone.run()->Progress().has_gradient_norm());
  EXPECT_FALSE(alone.run()->Progress().has_noise_scale());
  EXPECT_FALSE(alone.run()->Progress().has_lowest_agreement());
  EXPECT_EQ(alone.run()->Progress().lowest_agreement_worker(), "");

  // Nor is it shown any more when one is left.
  Trainee trainee(SynchronousSpec(2, 2));
  Step(&trainee, {{3, 3}, {1, 1}}, {1, 1});
  EXPECT_TRUE(trainee.run()->Progress().has_noise_scale());
  EXPECT_TRUE(trainee.run()->Progress().has_lowest_agreement());
  trainee.worker(1)->Leave();
  trainee.worker(0)->Push(2, 1, {1, 1});
  EXPECT_EQ(trainee.worker(0)->WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_FALSE(trainee.run()->Progress().has_noise_scale());
  EXPECT_FALSE(trainee.run()->Progress().has_lowest_agreement());
}

// The last push of each worker: those before are mixed already.
TEST(PushAgreementTest, WithAWindowTheLastPushesAreCompared) {
  v1::Run spec = SynchronousSpec(2, 2);
  spec.mutable_optimizer()->set_accumulation_steps(2);
  Trainee trainee(spec);
  Step(&trainee, {{5, 1}, {-3, 7}}, {1, 1});
  Step(&trainee, {{3, 3}, {1, 1}}, {1, 1});
  const v1::RunProgress progress = trainee.run()->Progress();
  EXPECT_EQ(progress.step(), 1);
  EXPECT_NEAR(progress.noise_scale(), 2.0 / 3, 1e-6);  // See NoiseScaleTest.
  EXPECT_NEAR(progress.lowest_agreement(), 1, 1e-6);
}

TEST(PushAgreementTest, ARunThatIsRestoredGoesOnWithItsSmoothing) {
  Trainee live(SynchronousSpec(2, 2));
  Step(&live, {{5, 1}, {3, 1}}, {1, 3});
  Step(&live, {{3, 3}, {1, 2}}, {1, 1});
  std::promise<std::shared_ptr<const RunCapture>> promise;
  live.run()->Capture([&](const auto& capture) { promise.set_value(*capture); });
  RunOrigin origin;
  origin.capture = promise.get_future().get();

  RunRegistry registry{Limits(), /*threads=*/2};
  const auto restored = *registry.Create("r", origin.capture->state.spec(), "", &origin);
  FakeWorker a(&registry, "r", "a");
  FakeWorker b(&registry, "r", "b");
  a.Join();
  b.Join();
  a.Push(3, 2, {1, 4});
  b.Push(3, 2, {2, 3});
  EXPECT_EQ(a.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  Step(&live, {{1, 4}, {2, 3}}, {1, 1});
  EXPECT_TRUE(restored->Progress().has_noise_scale());
  EXPECT_EQ(restored->Progress().noise_scale(), live.run()->Progress().noise_scale());
  EXPECT_EQ(restored->Progress().lowest_agreement(), live.run()->Progress().lowest_agreement());
}

}  // namespace
}  // namespace gradd
