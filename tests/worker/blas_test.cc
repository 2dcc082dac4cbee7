#include "worker/blas.h"

#include <gtest/gtest.h>

namespace gradd {
namespace {

TEST(BlasTest, ACpuThatIsNewerThanTheLibraryGetsKernelsOfItsInstructions) {
  EXPECT_EQ(BetterBlasKernels("Prescott", true, true), "SkylakeX");
  EXPECT_EQ(BetterBlasKernels("Prescott", true, false), "Haswell");
}

TEST(BlasTest, WhatTheLibraryKnowsIsLeftAlone) {
  EXPECT_EQ(BetterBlasKernels("Prescott", false, false), "");
  EXPECT_EQ(BetterBlasKernels("Haswell", true, true), "");
  EXPECT_EQ(BetterBlasKernels("Zen", true, true), "");
  EXPECT_EQ(BetterBlasKernels("ARMV8", false, false), "");
}

}  // namespace
}  // namespace gradd
