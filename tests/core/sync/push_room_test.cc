#include "core/sync/push_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

class PushRoomTest : public testing::Test {
 protected:
  void Start(int64_t bytes) {
    MemoryBudget::Limits limits;
    limits.total = bytes;
    budget_ = MemoryBudget::Create(limits);
    room_ = PushRoom::Create(budget_, &clock_);
  }
  std::unique_ptr<PushRoom::Account> Open(const std::string& run, int64_t push_bytes,
                                          int64_t pushes_a_step) {
    auto account = room_->Open(run, push_bytes, [this, run] { asked_.push_back(run); });
    account->SetPushesAStep(pushes_a_step);
    return account;
  }

  FakeClock clock_;
  std::shared_ptr<MemoryBudget> budget_;
  std::shared_ptr<PushRoom> room_;
  std::vector<std::string> asked_;  // To drop pushes.
};

TEST_F(PushRoomTest, WhoWaitsIsToldWhenThereIsRoom) {
  Start(10);
  const auto a = Open("a", 6, 0);
  int told = 0;
  auto first = a->Take("w0", 0, [&] { ++told; });
  EXPECT_TRUE(first->granted());
  EXPECT_EQ(told, 0) << "that is seen at once";
  const auto second = a->Take("w1", 0, [&] { ++told; });
  EXPECT_FALSE(second->granted());
  EXPECT_EQ(a->Holders(), "this run has 6 bytes for w0");
  first.reset();
  EXPECT_TRUE(second->granted());
  EXPECT_EQ(told, 1);
}

TEST_F(PushRoomTest, RoomThatOtherUsesGiveBackCounts) {
  Start(10);
  auto state = budget_->Take(MemoryUse::kState, 5);
  const auto a = Open("a", 6, 0);
  const auto push = a->Take("w", 0, nullptr);
  EXPECT_FALSE(push->granted());
  state.reset();
  EXPECT_TRUE(push->granted());
}

TEST_F(PushRoomTest, VersionsAreReclaimedForWhoWaits) {
  Start(10);
  std::vector<std::function<void()>> tasks;
  auto version = budget_->Take(MemoryUse::kVersions, 8);
  budget_->SetReclaim([&version] { return std::exchange(version, nullptr) != nullptr; },
                      [&tasks](auto task) { tasks.push_back(std::move(task)); });
  const auto a = Open("a", 6, 0);
  const auto push = a->Take("w", 0, nullptr);
  EXPECT_FALSE(push->granted());
  ASSERT_EQ(tasks.size(), 1U);
  tasks[0]();
  EXPECT_TRUE(push->granted());
}

TEST_F(PushRoomTest, WhoDoesNotGoOnIsAskedOnceUntilItHasDropped) {
  Start(8);
  const auto a = Open("big", 2, 4);
  std::vector<PushRoom::ClaimPtr> held;
  for (const char* worker : {"w3", "w2", "w1", "w0"}) held.push_back(a->Take(worker, 0, nullptr));
  a->SetStanding(/*goes_on=*/false, /*rests=*/false, 0, "is paused");
  EXPECT_TRUE(asked_.empty()) << "nobody needs its room";
  const auto b = Open("b", 3, 2);
  const auto first = b->Take("w", 0, nullptr);
  const auto second = b->Take("w", 0, nullptr);
  EXPECT_EQ(asked_, std::vector<std::string>({"big"}));
  EXPECT_EQ(b->Holders(), "run big, which is paused, has 8 bytes for w0, w1, w2 and 1 more");
  held.pop_back();
  EXPECT_EQ(asked_.size(), 1U) << "it is at it";
  held.pop_back();
  EXPECT_TRUE(first->granted());
  a->Dropped(/*rests=*/true);
  room_->Grant();
  EXPECT_EQ(asked_.size(), 2U) << "there is more to be dropped by now";
  const auto more = a->Take("w0", 0, nullptr);
  held.clear();
  EXPECT_TRUE(second->granted());
  EXPECT_FALSE(more->granted()) << "it rests";
  a->SetStanding(/*goes_on=*/true, /*rests=*/false, 0, "");
  EXPECT_TRUE(more->granted());
}

TEST_F(PushRoomTest, AStepThatIsOnItsWayNeedsNoMore) {
  Start(6);
  const auto a = Open("a", 1, 4);
  const auto b = Open("b", 1, 4);
  std::vector<PushRoom::ClaimPtr> of_a;
  std::vector<PushRoom::ClaimPtr> of_b;
  for (int w = 0; w < 3; ++w) {
    of_a.push_back(a->Take("w", 0, nullptr));
    of_b.push_back(b->Take("w", 0, nullptr));
  }
  EXPECT_TRUE(of_b[1]->granted());
  EXPECT_FALSE(of_b[2]->granted()) << "a needs one more";
  of_a.push_back(a->Take("w", 0, nullptr));
  EXPECT_TRUE(of_a[3]->granted());
  auto next = a->Take("w", 1, nullptr);  // The step of the others is on its way.
  EXPECT_FALSE(next->granted());
  of_a.pop_back();
  EXPECT_TRUE(of_b[2]->granted()) << "it is older than a's next step";
  next.reset();
  of_a.clear();
  of_b.clear();
  EXPECT_EQ(budget_->taken_bytes(), 0);
}

// With room for three pushes, of two runs of three workers each.
TEST_F(PushRoomTest, OneThatIsCarriedIntoTheNextStepNeedsTheOthersOfThat) {
  Start(3);
  const auto a = Open("a", 1, 3);
  const auto b = Open("b", 1, 3);
  std::vector<PushRoom::ClaimPtr> of_a;
  for (const char* worker : {"w0", "w1", "w2"}) of_a.push_back(a->Take(worker, 0, nullptr));
  // Two of them are a step, and the third one is carried.
  PushRoom::ClaimPtr carried = std::move(of_a.back());
  of_a.clear();
  carried->MoveTo(1);
  std::vector<PushRoom::ClaimPtr> of_b;
  for (const char* worker : {"w0", "w1", "w2"}) of_b.push_back(b->Take(worker, 0, nullptr));
  for (const char* worker : {"w0", "w1"}) of_a.push_back(a->Take(worker, 1, nullptr));
  EXPECT_TRUE(of_a[0]->granted());
  EXPECT_TRUE(of_a[1]->granted()) << "otherwise each waits for what the other one has";
  of_a.clear();
  carried.reset();
  for (const PushRoom::ClaimPtr& claim : of_b) EXPECT_TRUE(claim->granted());
}

TEST_F(PushRoomTest, WhoHasWaitedForLongForYoungerOnesTakesTheirRoom) {
  Start(8);
  const auto oldest = Open("oldest", 3, 2);
  const auto large = Open("large", 8, 0);
  const auto slow = Open("slow", 1, 2);
  auto first = oldest->Take("w0", 0, nullptr);
  const auto waits = large->Take("w", 0, nullptr);
  auto half = slow->Take("w0", 0, nullptr);
  EXPECT_TRUE(half->granted()) << "large has to wait anyhow";
  auto second = oldest->Take("w1", 0, nullptr);
  EXPECT_TRUE(second->granted());
  first.reset();
  second.reset();
  EXPECT_FALSE(waits->granted());
  const auto late = oldest->Take("w0", 1, nullptr);
  EXPECT_FALSE(late->granted()) << "nobody overtakes any more";
  room_->Grant();
  clock_.Advance(PushRoom::kPatience - absl::Milliseconds(1));
  room_->Grant();
  EXPECT_TRUE(asked_.empty());
  clock_.Advance(absl::Milliseconds(1));
  room_->Grant();
  EXPECT_EQ(asked_, std::vector<std::string>({"slow"}));
  half.reset();
  EXPECT_TRUE(waits->granted());
  slow->Dropped(/*rests=*/false);
}

// Runs of all kinds, whose workers push in any order: every step is made, without anybody's pushes
// being dropped, and the large ones are not starved by the small ones.
TEST_F(PushRoomTest, NobodyWaitsForEver) {
  constexpr int64_t kCapacity = 60;
  constexpr int kRuns = 6;
  struct ARun {
    int64_t pushes = 0;
    int64_t step = 0;
    int64_t done = 0;
    std::unique_ptr<PushRoom::Account> account;
    std::vector<PushRoom::ClaimPtr> open;
    std::vector<std::vector<PushRoom::ClaimPtr>> on_their_way;
  };
  for (unsigned seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto draw = [&](int64_t most) { return static_cast<int64_t>(random() % most); };
    Start(kCapacity);
    std::vector<ARun> runs(kRuns);
    std::string described;
    for (ARun& run : runs) {
      run.pushes = draw(3) == 0 ? 0 : 1 + draw(6);
      const int64_t most = kCapacity / std::max<int64_t>(run.pushes, 1);
      const int64_t size = 1 + draw(draw(2) == 0 ? most : 3);
      described += " " + std::to_string(run.pushes) + "x" + std::to_string(size);
      run.account = Open("r", size, run.pushes);
    }
    for (int event = 0; event < 20'000; ++event) {
      ARun& run = runs[static_cast<size_t>(draw(kRuns))];
      const auto whole = static_cast<size_t>(std::max<int64_t>(run.pushes, 1));
      const bool granted = std::all_of(run.open.begin(), run.open.end(),
                                       [](const auto& claim) { return claim->granted(); });
      if (!run.on_their_way.empty() && draw(2) == 0) {
        ++run.done;
        run.on_their_way.pop_back();
      } else if (run.open.size() == whole && granted) {
        run.on_their_way.push_back(std::exchange(run.open, {}));
        ++run.step;
      } else if (run.open.size() < whole) {
        run.open.push_back(run.account->Take("w", run.step, nullptr));
      }
      ASSERT_LE(budget_->taken_bytes(), kCapacity);
    }
    ASSERT_TRUE(asked_.empty());
    int64_t most = 0;
    for (const ARun& run : runs) most = std::max(most, run.done);
    for (const ARun& run : runs) {
      EXPECT_GE(run.done, most / 20) << described << ", this one " << run.pushes;
    }
  }
}

}  // namespace
}  // namespace gradd
