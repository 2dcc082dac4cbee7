#include "core/base/turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace gradd {
namespace {

using ::testing::ElementsAre;

class TurnsTest : public ::testing::Test {
 protected:
  using Line = Turns<int>::Line;

  std::vector<int> PopAll() {
    std::vector<int> popped;
    while (const auto next = turns_.Pop([](int) { return true; })) popped.push_back(*next);
    return popped;
  }

  Turns<int> turns_;
  const std::shared_ptr<Line> a_ = std::make_shared<Line>();
  const std::shared_ptr<Line> b_ = std::make_shared<Line>();
};

TEST_F(TurnsTest, LinesTakeTurnsHoweverManyStandInOne) {
  for (const int waiter : {1, 2, 3}) turns_.Push(a_, waiter);
  turns_.Push(b_, 11);
  EXPECT_THAT(PopAll(), ElementsAre(1, 11, 2, 3));
  EXPECT_TRUE(turns_.empty());
}

TEST_F(TurnsTest, WhoeverComesBackStandsBehindTheOthers) {
  turns_.Push(a_, 1);
  turns_.Push(b_, 11);
  const auto first = turns_.Pop([](int) { return true; });
  turns_.Push(a_, *first);
  EXPECT_THAT(PopAll(), ElementsAre(11, 1));
}

TEST_F(TurnsTest, WhoDoesNotSuitKeepsTheirPlace) {
  for (const int waiter : {1, 2, 4}) turns_.Push(a_, waiter);
  turns_.Push(b_, 11);
  EXPECT_EQ(turns_.Pop([](int waiter) { return waiter % 2 == 0; }), 2);
  EXPECT_EQ(turns_.Pop([](int waiter) { return waiter > 100; }), std::nullopt);
  EXPECT_THAT(PopAll(), ElementsAre(11, 1, 4));
}

}  // namespace
}  // namespace gradd
