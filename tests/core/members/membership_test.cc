#include "core/members/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Workers = std::vector<std::string>;

class MembershipTest : public testing::Test {
 protected:
  MembershipTest() { members_.Configure(/*window=*/1, /*forgives=*/3); }

  void Join(const Workers& workers) {
    for (const std::string& worker : workers) members_.Join(worker);
  }
  void Push(const std::string& worker, int64_t sequence) {
    members_.Expect(members_.Find(worker));
    members_.PushWaits(members_.Find(worker), sequence);
  }
  // A step of what waits.
  void Step() {
    const Workers missing = members_.Missing();
    for (const auto& [worker, member] : members_.live()) members_.PushGone(member);
    members_.StepMade(missing);
  }

  Membership members_;
};

TEST_F(MembershipTest, ARunIsFormedFromTheFirstTimeThatAllAreThereUntilAllHaveGone) {
  members_.Join("a");
  members_.FormWith(2);
  EXPECT_FALSE(members_.formed());
  members_.Join("b");
  members_.FormWith(2);
  EXPECT_TRUE(members_.formed());
  members_.Retire("a", v1::WORKER_STATE_LEFT, absl::Seconds(1), false);
  EXPECT_TRUE(members_.formed());
  members_.Retire("b", v1::WORKER_STATE_EXPIRED, absl::Seconds(2), true);
  EXPECT_FALSE(members_.formed());
  EXPECT_EQ(members_.departures().all().front().worker, "b");
  EXPECT_TRUE(members_.departures().all().front().unread);
}

TEST_F(MembershipTest, TheLedgerStaysWhenAWorkerGoes) {
  members_.Join("a").ledger = {7, v1::PUSH_OUTCOME_APPLIED, 4};
  members_.Retire("a", v1::WORKER_STATE_EXPIRED, absl::Seconds(1), false);
  EXPECT_EQ(members_.live_count(), 0);
  EXPECT_EQ(members_.Join("a").ledger.sequence, 7);
  EXPECT_THAT(members_.departures().all(), IsEmpty());
}

TEST_F(MembershipTest, CountsWhoIsCompleteWhateverHappensInBetween) {
  Join({"a", "b", "c"});
  Push("a", 1);
  EXPECT_EQ(members_.expected(), 3);
  EXPECT_EQ(members_.complete(), 1);
  EXPECT_THAT(members_.Missing(), ElementsAre("b", "c"));
  members_.Retire("a", v1::WORKER_STATE_EXPIRED, absl::Seconds(1), false);
  EXPECT_EQ(members_.complete(), 0) << "its push still waits, but it is not expected";
  EXPECT_EQ(members_.Join("a").state, v1::WORKER_STATE_WAITING);
  EXPECT_EQ(members_.complete(), 1);
  members_.Join("a");  // Again, with another session.
  EXPECT_EQ(members_.complete(), 1);
  members_.PushGone(members_.Find("a"));
  EXPECT_EQ(members_.complete(), 0);
}

TEST_F(MembershipTest, InAWindowAWorkerIsCompleteWithAllItsPushes) {
  members_.Configure(/*window=*/3, /*forgives=*/0);
  Join({"a", "b"});
  for (int64_t sequence = 1; sequence <= 2; ++sequence) {
    Push("a", sequence);
    EXPECT_EQ(members_.complete(), 0);
    members_.PushFolded(members_.Find("a"));
    members_.PushGone(members_.Find("a"));
  }
  Push("a", 3);
  EXPECT_EQ(members_.complete(), 1);
  members_.Configure(/*window=*/4, /*forgives=*/0);
  EXPECT_EQ(members_.complete(), 0);
  members_.Configure(/*window=*/2, /*forgives=*/0);
  EXPECT_EQ(members_.complete(), 1);
  Step();
  EXPECT_EQ(members_.complete(), 0);
  EXPECT_EQ(members_.Find("a")->in_window, 0);
}

TEST_F(MembershipTest, WhatAWorkerGaveToAWindowIsForgottenWithItsStepAlsoWhereItHasGone) {
  members_.Configure(/*window=*/2, /*forgives=*/0);
  Join({"a", "b"});
  Push("a", 1);
  members_.PushFolded(members_.Find("a"));
  members_.PushGone(members_.Find("a"));
  members_.Retire("a", v1::WORKER_STATE_EXPIRED, absl::Seconds(1), false);
  EXPECT_EQ(members_.Find("a")->in_window, 1);
  Step();
  members_.Join("a");
  Push("a", 2);
  EXPECT_EQ(members_.complete(), 0) << "its first push of this step";
}

TEST_F(MembershipTest, StepsDoNotWaitForAWorkerThatMissedThreeUntilAPushOfItIsInTime) {
  Join({"a", "slow"});
  for (int i = 0; i < 2; ++i) {
    Push("a", i + 1);
    Step();
    EXPECT_EQ(members_.expected(), 2);
  }
  Push("slow", 1);  // In time.
  Push("a", 3);
  Step();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(members_.expected(), 2) << i;
    Push("a", 4 + i);
    Step();
  }
  EXPECT_EQ(members_.expected(), 1);
  EXPECT_FALSE(members_.IsExpected(*members_.Find("slow")));
  Push("a", 7);
  EXPECT_THAT(members_.Missing(), IsEmpty());
  Step();
  Push("slow", 2);
  EXPECT_EQ(members_.expected(), 2);
}

TEST_F(MembershipTest, ARunThatStartsWithNobodyIsNotFormed) {
  members_.FormWith(0);
  Join({"a"});
  members_.FormWith(0);
  members_.FormWith(2);
  EXPECT_FALSE(members_.formed());
}

TEST_F(MembershipTest, AWorkerThatComesBackIsExpectedAgain) {
  Join({"a", "slow"});
  for (int i = 0; i < 3; ++i) {
    Push("a", i + 1);
    Step();
  }
  members_.Retire("slow", v1::WORKER_STATE_LEFT, absl::Seconds(1), false);
  members_.Join("slow");
  EXPECT_EQ(members_.expected(), 2);
}

// A step that was decided before a worker went may be made after.
TEST_F(MembershipTest, WhoIsGoneWhenAStepIsMadeHasNotMissedIt) {
  Join({"a", "slow"});
  members_.Retire("slow", v1::WORKER_STATE_EXPIRED, absl::Seconds(1), false);
  for (int i = 0; i < 3; ++i) members_.StepMade(std::vector<std::string>{"slow"});
  members_.Join("slow");
  EXPECT_EQ(members_.expected(), 2);
}

// How far each live member is ahead, by the definition.
TEST_F(MembershipTest, KnowsHowFarEachIsAheadOfTheSlowest) {
  std::mt19937 random(7);
  const Workers names = {"a", "b", "c", "d", "e"};
  for (int event = 0; event < 5'000; ++event) {
    const std::string& name = names[random() % names.size()];
    Member* const member = members_.Find(name);
    const bool live = member != nullptr && member->live();
    const auto kind = random() % 10;
    int64_t slowest = std::numeric_limits<int64_t>::max();
    for (const auto& [worker, other] : members_.live()) slowest = std::min(slowest, other->clock);
    if (!live) {
      const Member& joined = members_.Join(name);
      if (members_.live_count() > 1) {
        EXPECT_EQ(joined.clock, slowest);
      }
    } else if (kind == 0) {
      members_.Retire(name, v1::WORKER_STATE_LEFT, absl::ZeroDuration(), false);
    } else if (kind == 1 && random() % 20 == 0) {
      members_.StartTogether();
      for (const auto& [worker, other] : members_.live()) EXPECT_EQ(members_.Ahead(*other), 0);
    } else if (kind == 2) {
      const int64_t clock = member->clock;
      EXPECT_EQ(members_.Join(name).clock, clock) << "it was live";
    } else {
      const int64_t expected = members_.AheadWithNext(*member);
      members_.PushTaken(member);
      EXPECT_EQ(members_.Ahead(*member), expected);
    }
    slowest = std::numeric_limits<int64_t>::max();
    for (const auto& [worker, other] : members_.live()) slowest = std::min(slowest, other->clock);
    for (const auto& [worker, other] : members_.live()) {
      ASSERT_EQ(members_.Ahead(*other), other->clock - slowest) << worker;
    }
  }
}

// One of them: it may have gone when its push is taken.
TEST_F(MembershipTest, APushOfOneThatHasGoneMovesNobody) {
  Join({"a", "b"});
  members_.PushTaken(members_.Find("b"));
  members_.Retire("a", v1::WORKER_STATE_EXPIRED, absl::ZeroDuration(), false);
  EXPECT_EQ(members_.Ahead(*members_.Find("b")), 0);
  members_.PushTaken(members_.Find("a"));
  EXPECT_EQ(members_.Ahead(*members_.Find("b")), 0);
  members_.PushTaken(members_.Find("b"));
  Join({"a"});
  EXPECT_EQ(members_.Ahead(*members_.Find("a")), 0);
  EXPECT_EQ(members_.Find("a")->clock, 2);
}

TEST_F(MembershipTest, WhoCouldDoNothingGoesOnWhereTheSlowestOfTheOthersIs) {
  Join({"a", "b", "c"});
  for (int i = 0; i < 5; ++i) members_.PushTaken(members_.Find("a"));
  for (int i = 0; i < 3; ++i) members_.PushTaken(members_.Find("b"));
  members_.CatchUp("c", [](const std::string& worker) { return worker != "c"; });
  EXPECT_EQ(members_.Find("c")->clock, 3);
  EXPECT_EQ(members_.Ahead(*members_.Find("a")), 2);
  members_.CatchUp("a", [](const std::string& worker) { return worker == "b"; });
  EXPECT_EQ(members_.Find("a")->clock, 5) << "it is farther";
  members_.CatchUp("a", [](const std::string&) { return false; });
  EXPECT_EQ(members_.Find("a")->clock, 5);
  members_.CatchUp("nobody", [](const std::string&) { return true; });
}

}  // namespace
}  // namespace gradd
