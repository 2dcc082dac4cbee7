#include "core/sync/shared_gradient.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kSharedElements = kBlockElements + 777;

class SharedGradientTest : public testing::Test {
 protected:
  SharedGradientTest() {
    for (int64_t i = 0; i < kSharedElements; ++i) gradient()[i] = static_cast<float>(i % 100);
  }
  float* gradient() const { return reinterpret_cast<float*>(region_->data()); }
  absl::Status Stage() {
    return StageSharedGradient(*region_, blocks_.get(), &threads_, push_.get());
  }

  const std::shared_ptr<SharedRegion> region_ =
      *SharedRegion::Create(kSharedElements * 4, SharedRegion::Access::kPeerWrites);
  const std::shared_ptr<BlockPool> blocks_ = BlockPool::Create();
  ThreadPool threads_{2};
  std::unique_ptr<StagedPush> push_ =
      std::make_unique<StagedPush>(v1::PushHeader(), VectorLayout(kSharedElements));
};

TEST_F(SharedGradientTest, WhatIsStagedIsACopy) {
  ASSERT_TRUE(Stage().ok());
  EXPECT_TRUE(push_->CheckComplete().ok());
  for (int64_t i = 0; i < kSharedElements; ++i)
    gradient()[i] = std::numeric_limits<float>::quiet_NaN();
  StagedPush::Reader reader(*push_, 0);
  std::vector<float> scratch(1000);
  for (int64_t begin = 0; begin < kSharedElements; begin += 1000) {
    const int64_t size = std::min<int64_t>(1000, kSharedElements - begin);
    const UnalignedFloat* const values = reader.Next(size, scratch.data());
    for (int64_t i = 0; i < size; ++i) {
      ASSERT_EQ(static_cast<float>(values[i]), static_cast<float>((begin + i) % 100));
    }
  }
}

TEST_F(SharedGradientTest, TheFirstValueThatIsNotFiniteIsNamed) {
  gradient()[kBlockElements + 5] = std::numeric_limits<float>::infinity();
  gradient()[kSharedElements - 1] = std::numeric_limits<float>::quiet_NaN();
  const absl::Status staged = Stage();
  EXPECT_EQ(ReasonOf(staged), "NON_FINITE");
  EXPECT_THAT(staged.message(), testing::HasSubstr("element 262149 is inf"));
}

TEST_F(SharedGradientTest, HasNoPlaceBesideChunks) {
  ASSERT_TRUE(Stage().ok());
  EXPECT_EQ(ReasonOf(Stage()), "CHUNK_OVERLAP");
}

TEST_F(SharedGradientTest, TheBlocksOfOnePushServeTheNext) {
  ASSERT_TRUE(Stage().ok());
  push_ = std::make_unique<StagedPush>(v1::PushHeader(), VectorLayout(kSharedElements));
  const int64_t allocations = blocks_->allocations();
  ASSERT_TRUE(Stage().ok());
  EXPECT_EQ(blocks_->allocations(), allocations);
}

}  // namespace
}  // namespace gradd
