#include "core/run/staging_room.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

constexpr absl::Duration kPatience = StagingRoom::kPatience;
constexpr absl::Duration kMoment = absl::Milliseconds(1);

class StagingRoomTest : public testing::Test {
 protected:
  StagingRoomTest() {
    MemoryBudget::Limits limits;
    limits.of(MemoryUse::kStaging) = 2;
    push_room_ = PushRoom::Create(MemoryBudget::Create(limits), &clock_);
    room_ = std::make_unique<StagingRoom>(push_room_.get(), "r", /*push_bytes=*/1,
                                          [this] { ++asked_; });
    other_ = push_room_->Open("other", 2, [] {});
  }
  static StagingRoom::Standing Stopped() {
    StagingRoom::Standing standing;
    standing.stopped = "is paused";
    return standing;
  }
  static StagingRoom::Standing Lacks() {
    StagingRoom::Standing standing;
    standing.step_can_come = false;
    return standing;
  }
  StagingRoom::Claim Take() { return room_->Take("w", 0, /*pushes_a_step=*/2, nullptr); }
  bool KeepsAt(const StagingRoom::Standing& standing, absl::Duration now) {
    room_->Judge(standing, now);
    return room_->keeps();
  }

  FakeClock clock_;
  std::shared_ptr<PushRoom> push_room_;
  std::unique_ptr<StagingRoom> room_;
  std::unique_ptr<PushRoom::Account> other_;
  int asked_ = 0;  // To drop pushes.
};

TEST_F(StagingRoomTest, ARunThatIsStoppedKeepsNothingThatOthersNeed) {
  auto push = Take();
  EXPECT_FALSE(KeepsAt(Stopped(), absl::ZeroDuration()));
  EXPECT_EQ(room_->why(), "is paused");
  EXPECT_EQ(asked_, 0);
  const auto wanted = other_->Take("w", 0, nullptr);
  EXPECT_EQ(asked_, 1);
  push.reset();
  room_->Dropped(absl::ZeroDuration());
  EXPECT_TRUE(wanted->granted());
  EXPECT_FALSE(KeepsAt(Stopped(), absl::Hours(1)));
  EXPECT_TRUE(KeepsAt({}, absl::Hours(1))) << "it goes on";
}

TEST_F(StagingRoomTest, OneThatStandsStillMayDoSoForLongerEachTime) {
  absl::Duration now;
  for (int drops = 0; drops < 4; ++drops) {
    const absl::Duration patience = kPatience * (1 << drops);
    EXPECT_EQ(StagingRoom::PatienceAfter(drops), patience);
    EXPECT_TRUE(KeepsAt(Lacks(), now));
    EXPECT_TRUE(KeepsAt(Lacks(), now + patience - kMoment));
    now += patience;
    EXPECT_FALSE(KeepsAt(Lacks(), now));
    EXPECT_EQ(room_->why(), "stands still");
    room_->Dropped(now);
    room_->Dropped(now);  // Whatever else it is asked for.
    EXPECT_FALSE(KeepsAt(Lacks(), now + 2 * patience - kMoment)) << "it rests";
    EXPECT_FALSE(Take()->granted());
    now += 2 * patience;
  }
  EXPECT_TRUE(KeepsAt(Lacks(), now));
  room_->StepMade();
  EXPECT_FALSE(KeepsAt(Lacks(), now + kPatience)) << "the next step begins anew";
}

TEST_F(StagingRoomTest, WhatItLackedEndsItsRest) {
  KeepsAt(Lacks(), absl::ZeroDuration());
  EXPECT_FALSE(KeepsAt(Lacks(), kPatience));
  room_->Dropped(kPatience);
  const auto push = Take();
  EXPECT_FALSE(push->granted());
  EXPECT_TRUE(KeepsAt({}, kPatience + kMoment));
  EXPECT_TRUE(push->granted());
}

TEST_F(StagingRoomTest, APushThatBringsNothingHoldsUpTheStep) {
  StagingRoom::Standing quiet;
  quiet.quiet_since = absl::Seconds(100);
  EXPECT_TRUE(KeepsAt(quiet, absl::Seconds(100) + kPatience - kMoment));
  EXPECT_FALSE(KeepsAt(quiet, absl::Seconds(100) + kPatience));
  quiet.quiet_since = absl::Seconds(100) + kPatience;  // It brought something.
  EXPECT_TRUE(KeepsAt(quiet, absl::Seconds(100) + kPatience));
}

}  // namespace
}  // namespace gradd
