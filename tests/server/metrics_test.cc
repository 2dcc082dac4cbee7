#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

class MetricsTest : public testing::Test {
 protected:
  // The value of the metric with these labels besides `run`, or NaN.
  double Value(const std::string& name, const std::map<std::string, std::string>& labels) const {
    for (const auto& family : metrics_.Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        std::map<std::string, std::string> found;
        for (const auto& label : metric.label) found[label.name] = label.value;
        if (found != labels) continue;
        return family.type == prometheus::MetricType::Counter ? metric.counter.value
                                                              : metric.gauge.value;
      }
    }
    return std::numeric_limits<double>::quiet_NaN();
  }
  mutable RunRegistry registry_{Limits(), 1};
  Metrics metrics_{&registry_};
};

TEST_F(MetricsTest, EachHasHelpAndAUnitInItsNameAndAppearsOnce) {
  ASSERT_TRUE(registry_.Create("a", SynchronousSpec(2, 1), "").ok());
  ASSERT_TRUE(registry_.Create("b", SynchronousSpec(2, 1), "").ok());
  std::map<std::string, int> seen;
  for (const auto& family : Metrics(&registry_).Collect()) {
    EXPECT_THAT(family.name, testing::StartsWith("gradd_"));
    EXPECT_THAT(family.help, testing::EndsWith(".")) << family.name;
    EXPECT_FALSE(family.metric.empty()) << family.name;
    if (family.type == prometheus::MetricType::Counter) {
      EXPECT_THAT(family.name, testing::EndsWith("_total"));
    }
    EXPECT_EQ(++seen[family.name], 1) << family.name;
  }
  EXPECT_GT(seen.size(), 10u);
}

TEST_F(MetricsTest, TellWhatHappened) {
  v1::Run spec = SynchronousSpec(2, 1);
  ASSERT_TRUE(registry_.Create("a", spec, "").ok());
  EXPECT_TRUE(std::isnan(Value("gradd_run_loss", {{"run", "a"}}))) << "unknown, so absent";
  FakeWorker worker(&registry_, "a", "w");
  worker.Join();
  worker.Push(1, 0, {3, 4}, false, /*examples=*/7, /*loss=*/2.5);
  worker.WaitForResult(0);
  EXPECT_EQ(Value("gradd_run_steps_total", {{"run", "a"}}), 1);
  EXPECT_EQ(Value("gradd_run_step", {{"run", "a"}}), 1);
  EXPECT_EQ(Value("gradd_run_examples_total", {{"run", "a"}}), 7);
  EXPECT_EQ(Value("gradd_run_loss", {{"run", "a"}}), 2.5);
  EXPECT_EQ(Value("gradd_run_gradient_norm", {{"run", "a"}}), 5);
  EXPECT_EQ(Value("gradd_run_learning_rate", {{"run", "a"}}), 1);
  EXPECT_EQ(Value("gradd_run_pushes_total", {{"run", "a"}, {"outcome", "applied"}}), 1);
  EXPECT_EQ(Value("gradd_run_state", {{"run", "a"}, {"state", "running"}}), 1);
  EXPECT_EQ(Value("gradd_run_state", {{"run", "a"}, {"state", "paused"}}), 0);
  EXPECT_EQ(Value("gradd_run_condition", {{"run", "a"}, {"condition", "training"}}), 1);
  EXPECT_EQ(Value("gradd_run_condition", {{"run", "a"}, {"condition", "no_workers"}}), 0);
  EXPECT_EQ(Value("gradd_worker_state", {{"run", "a"}, {"worker", "w"}, {"state", "computing"}}),
            1);
  EXPECT_EQ(Value("gradd_sessions", {}), 1);
  EXPECT_EQ(Value("gradd_runs", {{"state", "running"}}), 1);
  EXPECT_EQ(Value("gradd_memory_taken_bytes", {{"use", "state"}}), 8);
  EXPECT_EQ(Value("gradd_memory_taken_bytes", {{"use", "staging"}}), 0);
  EXPECT_GT(Value("gradd_memory_limit_bytes", {}), 8);
  EXPECT_GT(Value("gradd_memory_use_limit_bytes", {{"use", "versions"}}), 8);
  worker.Push(2, 1, {3, 4}, false, /*examples=*/7, /*loss=*/std::nan(""));
  worker.WaitForResult(1);
  EXPECT_EQ(Value("gradd_run_condition", {{"run", "a"}, {"condition", "diverged"}}), 1);
  EXPECT_EQ(Value("gradd_run_condition", {{"run", "a"}, {"condition", "training"}}), 0);
  worker.Disconnect();
  EXPECT_EQ(Value("gradd_worker_state", {{"run", "a"}, {"worker", "w"}, {"state", "disconnected"}}),
            1);
  EXPECT_EQ(Value("gradd_sessions", {}), 0);
  ASSERT_TRUE(registry_.Delete("runs/a").ok());
  EXPECT_TRUE(std::isnan(Value("gradd_run_steps_total", {{"run", "a"}})));
}

TEST_F(MetricsTest, TellHowARunStandsSinceWhenAndWhy) {
  ASSERT_TRUE(registry_.Create("a", SynchronousSpec(2, 1), "").ok());
  EXPECT_EQ(Value("gradd_run_severity",
                  {{"run", "a"}, {"condition", "no_workers"}, {"reason", "none has joined yet"}}),
            3);
  const double since = Value("gradd_run_condition_since_timestamp_seconds", {{"run", "a"}});
  EXPECT_NEAR(since, absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()), 100);
  EXPECT_EQ(Value("gradd_run_condition_since_timestamp_seconds", {{"run", "a"}}), since);
  EXPECT_EQ(Value("gradd_run_diverged", {{"run", "a"}}), 0);
  FakeWorker worker(&registry_, "a", "w");
  worker.Join();
  constexpr int kSteps = 6 * DivergenceDetector::kBlockSteps;
  for (int step = 0; step < kSteps; ++step) {
    const bool left = step >= 4 * DivergenceDetector::kBlockSteps;
    worker.Push(step + 1, step, {3, 4}, false, /*examples=*/7, /*loss=*/left ? 400 : 2);
    worker.WaitForResult(step);
  }
  EXPECT_EQ(Value("gradd_run_severity", {{"run", "a"},
                                         {"condition", "diverged"},
                                         {"reason", "loss is 200x its best since step 81"}}),
            4);
  // What it is does not hide what it was.
  ASSERT_TRUE((*registry_.Find("runs/a"))->Pause("ada").ok());
  EXPECT_EQ(
      Value("gradd_run_severity", {{"run", "a"}, {"condition", "paused"}, {"reason", "by ada"}}),
      1);
  EXPECT_EQ(Value("gradd_run_diverged", {{"run", "a"}}), 1);
}

}  // namespace
}  // namespace gradd
