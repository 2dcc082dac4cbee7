#include "core/base/quota.h"

#include <gtest/gtest.h>

#include <memory>

namespace gradd {
namespace {

TEST(QuotaTest, GivesWhatIsLeftAndTakesItBack) {
  const auto quota = Quota::Create(100);
  auto first = quota->Take(60);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(quota->Take(41), nullptr);
  const auto second = quota->Take(40);
  EXPECT_NE(second, nullptr);
  EXPECT_EQ(quota->taken_bytes(), 100);
  first.reset();
  EXPECT_EQ(quota->taken_bytes(), 40);
  EXPECT_NE(quota->Take(60), nullptr);
}

TEST(QuotaTest, NothingIsLeftOfNothing) {
  const auto quota = Quota::Create(0);
  EXPECT_EQ(quota->Take(1), nullptr);
}

TEST(QuotaTest, LivesAsLongAsItsParts) {
  auto quota = Quota::Create(10);
  auto part = quota->Take(10);
  quota.reset();
  part.reset();
}

}  // namespace
}  // namespace gradd
