#include "core/step/quorum_lag.h"

#include <gtest/gtest.h>

namespace gradd {
namespace {

absl::Duration At(double seconds) { return absl::Seconds(seconds); }

TEST(QuorumLagTest, IsFromTheQuorumToTheLastPushFromTheSameParameters) {
  QuorumLag lag;
  EXPECT_FALSE(lag.OfLastStep().has_value());
  lag.PushArrived(0, At(1));
  lag.PushArrived(0, At(2));
  lag.PushArrived(0, At(2.5));
  EXPECT_FALSE(lag.OfLastStep().has_value()) << "no step was made";
  lag.StepMade(0, At(2));
  EXPECT_EQ(lag.OfLastStep(), At(0.5)) << "that came in its grace";
  lag.PushArrived(1, At(3));
  EXPECT_EQ(lag.OfLastStep(), At(0.5));
  lag.PushArrived(0, At(4));
  EXPECT_EQ(lag.OfLastStep(), At(2)) << "that came too late";
  lag.PushArrived(-1, At(9));
  lag.StepMade(1, At(3));
  EXPECT_EQ(lag.OfLastStep(), At(0)) << "nobody else has come yet";
}

// As where a run goes on after 7 steps.
TEST(QuorumLagTest, CountsFromAnyStepOn) {
  QuorumLag lag;
  lag.StepMade(6, std::nullopt);
  lag.PushArrived(7, At(1));
  lag.PushArrived(7, At(3));
  lag.StepMade(7, At(1));
  EXPECT_EQ(lag.OfLastStep(), At(2));
}

TEST(QuorumLagTest, AStepWithoutAQuorumHasNone) {
  QuorumLag lag;
  lag.PushArrived(0, At(1));
  lag.StepMade(0, std::nullopt);
  lag.PushArrived(0, At(2));
  EXPECT_FALSE(lag.OfLastStep().has_value());
}

}  // namespace
}  // namespace gradd
