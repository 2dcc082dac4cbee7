#include "server/frame_guard.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kSettings = 4;
constexpr uint8_t kPing = 6;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kEndHeaders = 4;

class FrameGuardTest : public testing::Test {
 protected:
  FrameGuardTest() { Connect(std::make_shared<CallRate>()); }

  void Connect(std::shared_ptr<CallRate> rate) {
    guard_.emplace(std::move(rate));
    Send(std::vector<uint8_t>(24, 'P'));
  }

  // In pieces of the test's size.
  bool Send(const std::vector<uint8_t>& bytes) {
    for (size_t at = 0; at < bytes.size(); at += piece_) {
      if (!guard_->Take(absl::MakeSpan(bytes).subspan(at, piece_), now_)) return false;
    }
    return true;
  }
  bool SendFrame(uint8_t type, uint8_t flags, size_t size) {
    std::vector<uint8_t> frame = {static_cast<uint8_t>(size >> 16),
                                  static_cast<uint8_t>(size >> 8),
                                  static_cast<uint8_t>(size),
                                  type,
                                  flags,
                                  0,
                                  0,
                                  0,
                                  1};
    frame.resize(frame.size() + size, 0xff);
    return Send(frame);
  }

  size_t piece_ = 1000;
  absl::Duration now_ = absl::Seconds(1000);
  std::optional<FrameGuard> guard_;
};

TEST_F(FrameGuardTest, LetsThroughWhatClientsSendHoweverItIsCut) {
  for (const size_t piece : {1, 2, 8, 9, 10, 1000, 100'000}) {
    piece_ = piece;
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(SendFrame(kSettings, 0, 6));
      ASSERT_TRUE(SendFrame(kHeaders, 0, 16'000));
      ASSERT_TRUE(SendFrame(kContinuation, kEndHeaders, 5000));
      ASSERT_TRUE(SendFrame(kData, 0, 70'000));
      ASSERT_TRUE(SendFrame(kData, 1, 0));
      ASSERT_TRUE(SendFrame(kHeaders, kEndHeaders, 200));
      ASSERT_TRUE(SendFrame(kPing, 0, 8));
    }
  }
}

TEST_F(FrameGuardTest, AHeaderBlockHasSoManyBytes) {
  ASSERT_TRUE(SendFrame(kHeaders, 0, 60'000));
  ASSERT_TRUE(SendFrame(kContinuation, 0, FrameGuard::kMaxBlockBytes - 60'000 - 2 * 9));
  EXPECT_FALSE(SendFrame(kContinuation, kEndHeaders, 0));
}

TEST_F(FrameGuardTest, AHeaderBlockIsRefusedByTheHeadOfTheFrameThatIsTooLarge) {
  EXPECT_FALSE(Send({1, 0, 0, kHeaders, kEndHeaders, 0, 0, 0, 1}));
}

TEST_F(FrameGuardTest, AHeaderBlockHasSoManyFrames) {
  ASSERT_TRUE(SendFrame(kHeaders, 0, 10));
  for (size_t i = 1; i < FrameGuard::kMaxBlockFrames; ++i) {
    ASSERT_TRUE(SendFrame(kContinuation, 0, 0));
  }
  EXPECT_FALSE(SendFrame(kContinuation, 0, 0));
}

TEST_F(FrameGuardTest, ControlFramesHaveARate) {
  for (int64_t i = 0; i < FrameGuard::kMaxControlFrames; ++i) ASSERT_TRUE(SendFrame(kPing, 0, 8));
  now_ += absl::Seconds(2);
  for (int64_t i = 0; i < 2 * FrameGuard::kControlFramesPerSecond; ++i) {
    ASSERT_TRUE(SendFrame(kSettings, 0, 0));
  }
  EXPECT_TRUE(SendFrame(kData, 0, 10));
  EXPECT_FALSE(SendFrame(kSettings, 0, 0));
}

TEST_F(FrameGuardTest, CallsHaveARateOverAllConnectionsOfAHost) {
  const auto rate = std::make_shared<CallRate>();
  const auto other_host = std::make_shared<CallRate>();
  for (int64_t i = 0; i < CallRate::kMost; ++i) {
    if (i % 1000 == 0) Connect(rate);  // One has gone on to the next connection.
    ASSERT_TRUE(SendFrame(kHeaders, kEndHeaders, 200));
  }
  EXPECT_FALSE(SendFrame(kHeaders, kEndHeaders, 200));
  Connect(rate);
  EXPECT_FALSE(SendFrame(kHeaders, kEndHeaders, 200));
  Connect(other_host);
  EXPECT_TRUE(SendFrame(kHeaders, kEndHeaders, 200));
  now_ += absl::Seconds(1);
  Connect(rate);
  for (int64_t i = 0; i < CallRate::kPerSecond; ++i) {
    ASSERT_TRUE(SendFrame(kHeaders, kEndHeaders, 200));
  }
  EXPECT_FALSE(SendFrame(kHeaders, kEndHeaders, 200));
}

TEST(CallRatesTest, AHostKeepsItsRateForAsLongAsThatMatters) {
  CallRates rates;
  const absl::Duration now = absl::Seconds(1000);
  const CallRate* const first = rates.Of("first", now).get();
  ASSERT_TRUE(rates.Of("first", now)->Take(now));
  for (size_t i = 0; i < 3 * CallRates::kRemembered; ++i) rates.Of(absl::StrCat(i), now);
  EXPECT_LE(rates.size(), CallRates::kRemembered + 2);
  EXPECT_EQ(rates.Of("first", now).get(), first);
}

TEST_F(FrameGuardTest, AClientThatSendsOneNowAndThenMayGoOnForEver) {
  for (int i = 0; i < 100'000; ++i) {
    now_ += absl::Milliseconds(10);
    ASSERT_TRUE(SendFrame(kPing, 0, 8));
  }
}

}  // namespace
}  // namespace gradd
