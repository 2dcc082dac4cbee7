#include "core/base/check.h"

#include <gtest/gtest.h>

#include <string>

namespace gradd {
namespace {

bool Count(int* calls) {
  ++*calls;
  return false;
}

TEST(CheckTest, WhatHoldsGoesOn) {
  const std::string never = "never shown";
  GRADD_DCHECK(1 + 1 == 2, never);
}

#ifdef NDEBUG
TEST(CheckTest, InReleaseNothingIsEvaluated) {
  int calls = 0;
  GRADD_DCHECK(Count(&calls), std::string(1, static_cast<char>('0' + Count(&calls))));
  EXPECT_EQ(calls, 0);
}
#else
TEST(CheckDeathTest, WhatDoesNotHoldEndsTheProcessAndSaysWhatWasFound) {
  int calls = 0;
  EXPECT_DEATH(GRADD_DCHECK(Count(&calls), "3 left"),
               "check_test.cc:[0-9]+: Count\\(&calls\\) does not hold: 3 left");
}
#endif

}  // namespace
}  // namespace gradd
