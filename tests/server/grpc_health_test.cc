#include "server/grpc_health.h"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

class GrpcHealthTest : public testing::Test {
 protected:
  void PassSeconds(int seconds) {
    for (int tenth = 0; tenth < 10 * seconds; ++tenth) {
      clock_.Advance(absl::Milliseconds(100));
      health_.Tick();
      if (answers_) AnswerAll(true);
    }
  }
  void AnswerAll(bool answered) {
    for (const auto& done : std::exchange(asked_, {})) done(answered);
  }

  FakeClock clock_;
  bool answers_ = true;
  std::vector<std::function<void(bool)>> asked_;
  int questions_ = 0;
  GrpcHealth health_{&clock_, [this](std::function<void(bool)> done) {
                       ++questions_;
                       asked_.push_back(std::move(done));
                     }};
};

TEST_F(GrpcHealthTest, AsksOnceASecond) {
  PassSeconds(10);
  EXPECT_EQ(questions_, 10);
  EXPECT_TRUE(health_.healthy());
}

TEST_F(GrpcHealthTest, IsNotHealthyWithoutAnAnswerUntilThereIsOne) {
  PassSeconds(3);
  answers_ = false;
  PassSeconds(5);
  EXPECT_TRUE(health_.healthy());
  PassSeconds(1);
  EXPECT_FALSE(health_.healthy());
  EXPECT_EQ(questions_, 4);  // One at a time.
  AnswerAll(false);
  PassSeconds(1);
  EXPECT_FALSE(health_.healthy());
  EXPECT_EQ(questions_, 5);
  AnswerAll(true);
  EXPECT_TRUE(health_.healthy());
}

TEST_F(GrpcHealthTest, AServerThatStoodStillIsHealthy) {
  PassSeconds(3);
  clock_.Advance(absl::Hours(1));
  EXPECT_TRUE(health_.healthy());
}

TEST_F(GrpcHealthTest, AsksNoMoreOnceStopped) {
  PassSeconds(3);
  health_.Stop();
  PassSeconds(3);
  EXPECT_EQ(questions_, 3);
}

TEST_F(GrpcHealthTest, AnAnswerMayComeAfterItsEnd) {
  std::function<void(bool)> done;
  {
    GrpcHealth health(&clock_, [&done](std::function<void(bool)> answer) { done = answer; });
    health.Tick();
  }
  ASSERT_NE(done, nullptr);
  done(true);
}

}  // namespace
}  // namespace gradd
