#include "core/data/batch_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <utility>

#include "core/base/error.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::DataSet LedgerSpec(int64_t batches, int64_t most_skips = 3) {
  v1::DataSet spec;
  spec.set_examples(10 * batches);
  spec.set_batch_size(10);
  spec.set_epochs(1);
  spec.set_most_skips(most_skips);
  return spec;
}

BatchLedger::Ranges Batches(const std::vector<std::pair<int64_t, int64_t>>& ranges) {
  BatchLedger::Ranges made;
  for (const auto& [first, count] : ranges) {
    v1::BatchRange& range = *made.Add();
    range.set_first(first);
    range.set_count(count);
  }
  return made;
}

std::vector<int64_t> NumbersIn(const BatchLedger::Ranges& ranges) {
  std::vector<int64_t> numbers;
  for (const v1::BatchRange& range : ranges) {
    for (int64_t i = 0; i < range.count(); ++i) numbers.push_back(range.first() + i);
  }
  return numbers;
}

// What the worker asks for and gets.
std::vector<int64_t> Lease(BatchLedger* ledger, const std::string& worker, int64_t count,
                           const BatchRanges& reserved = {}) {
  const BatchLedger::Ranges chosen = ledger->Choose(worker, count, reserved);
  ledger->Grant(worker, chosen);
  EXPECT_TRUE(ledger->IsSound());
  return NumbersIn(chosen);
}

std::string WrittenLedger(const BatchLedger& ledger) {
  state::v1::BatchLedgerState state;
  ledger.Write(&state);
  return state.SerializeAsString();
}

TEST(BatchLedgerTest, NumbersGoOutInTheirOrderAndAreUsedUpByPushes) {
  BatchLedger ledger(LedgerSpec(5));
  EXPECT_THAT(Lease(&ledger, "a", 2), ElementsAre(0, 1));
  EXPECT_THAT(Lease(&ledger, "b", 2), ElementsAre(2, 3));
  EXPECT_TRUE(*ledger.AllUnused("a", Batches({{0, 2}})));
  ledger.Use("a", Batches({{0, 2}}));
  EXPECT_THAT(Lease(&ledger, "a", 5), ElementsAre(4));
  EXPECT_TRUE(ledger.NoneFree({}));
  EXPECT_THAT(Lease(&ledger, "a", 5), IsEmpty());
  ledger.Use("a", Batches({{4, 1}}));
  ledger.Use("b", Batches({{3, 1}}));
  EXPECT_FALSE(ledger.used_up());
  ledger.Use("b", Batches({{2, 1}}));
  EXPECT_TRUE(ledger.used_up());
}

TEST(BatchLedgerTest, WhatALostWorkerHadGoesOutAgainFirst) {
  BatchLedger ledger(LedgerSpec(20));
  EXPECT_THAT(Lease(&ledger, "a", 4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Lease(&ledger, "b", 2), ElementsAre(4, 5));
  ledger.Use("a", Batches({{1, 1}}));
  ledger.Lose("a");
  EXPECT_FALSE(ledger.HasAny("a"));
  EXPECT_THAT(Lease(&ledger, "c", 5), ElementsAre(0, 2, 3, 6, 7));
}

TEST(BatchLedgerTest, OfTwoThatHadANumberTheFirstOneCounts) {
  BatchLedger ledger(LedgerSpec(20));
  Lease(&ledger, "a", 2);
  ledger.Lose("a");
  // Nobody else has used them yet: its push counts.
  EXPECT_THAT(Lease(&ledger, "b", 1), ElementsAre(0));
  EXPECT_TRUE(*ledger.AllUnused("a", Batches({{0, 2}})));
  ledger.Use("a", Batches({{0, 2}}));
  EXPECT_TRUE(ledger.IsSound());
  // The other one's comes too late, but it is no fault of its own.
  EXPECT_FALSE(*ledger.AllUnused("b", Batches({{0, 1}})));
  ledger.Return("b", Batches({{0, 1}}));
  EXPECT_TRUE(ledger.IsSound());
  EXPECT_THAT(Lease(&ledger, "b", 2), ElementsAre(2, 3));
}

TEST(BatchLedgerTest, TheLostOneComesTooLateWhereTheOtherWasFaster) {
  BatchLedger ledger(LedgerSpec(20));
  Lease(&ledger, "a", 2);
  ledger.Lose("a");
  EXPECT_THAT(Lease(&ledger, "b", 2), ElementsAre(0, 1));
  ledger.Use("b", Batches({{0, 1}}));
  EXPECT_FALSE(*ledger.AllUnused("a", Batches({{0, 2}})));
  ledger.Return("a", Batches({{0, 2}}));
  // What it named is no lease of its any more; that of the other stays.
  EXPECT_EQ(ReasonOf(ledger.AllUnused("a", Batches({{0, 1}})).status()), "BATCH_LEASE_ENDED");
  EXPECT_TRUE(*ledger.AllUnused("b", Batches({{1, 1}})));
}

TEST(BatchLedgerTest, WhatNobodyLeasedIsRefusedByNumber) {
  BatchLedger ledger(LedgerSpec(20));
  Lease(&ledger, "a", 3);
  Lease(&ledger, "b", 3);
  const auto refusal = [&](int64_t batch) {
    const absl::Status status = ledger.AllUnused("a", Batches({{0, 1}, {batch, 1}})).status();
    return std::make_pair(ReasonOf(status), std::string(status.message()));
  };
  EXPECT_EQ(refusal(6).first, "BATCH_NOT_LEASED");
  EXPECT_EQ(refusal(6).second,
            "header.batches: batch 6 is not leased to worker \"a\", expected one that is");
  EXPECT_EQ(refusal(4).first, "BATCH_NOT_LEASED");
  ledger.Use("a", Batches({{2, 1}}));
  EXPECT_EQ(refusal(2).first, "BATCH_LEASE_ENDED");
  EXPECT_THAT(refusal(2).second, HasSubstr("has no lease of batch 2 any more"));
  ledger.EndAll();
  EXPECT_EQ(ReasonOf(ledger.AllUnused("a", Batches({{1, 1}})).status()), "BATCH_LEASE_ENDED");
}

TEST(BatchLedgerTest, RangesThatAreNoneAreNamed) {
  const BatchLedger ledger(LedgerSpec(10'000));
  const auto refusal = [&](const std::vector<std::pair<int64_t, int64_t>>& ranges) {
    const absl::Status status = ledger.CheckRanges("header.batches", Batches(ranges));
    EXPECT_EQ(ReasonOf(status), "BATCHES_INVALID");
    return std::string(status.message());
  };
  EXPECT_EQ(refusal({{-1, 1}}), "header.batches: -1 is outside [0, 10000), the batches");
  EXPECT_THAT(refusal({{10'000, 1}}), HasSubstr("10000 is outside [0, 10000)"));
  EXPECT_EQ(refusal({{7, 0}}), "header.batches: a count of 0 from 7 on is outside [1, 9993]");
  EXPECT_THAT(refusal({{1, std::numeric_limits<int64_t>::max()}}), HasSubstr("outside [1, 9999]"));
  EXPECT_EQ(refusal({{3, 4}, {10, 1}, {1, 3}}), "header.batches: 3 is there twice");
  EXPECT_EQ(refusal({{0, 4097}}),
            "header.batches: more than 4096 batches, the most that a worker may have");
  EXPECT_TRUE(ledger.CheckRanges("header.batches", Batches({{5, 4096}})).ok());
}

TEST(BatchLedgerTest, ABatchThatIsSkippedTooOftenIsUsedUpAndNamed) {
  BatchLedger ledger(LedgerSpec(3, /*most_skips=*/2));
  EXPECT_THAT(Lease(&ledger, "a", 2), ElementsAre(0, 1));
  ledger.Skip("a", Batches({{0, 2}}));
  EXPECT_THAT(Lease(&ledger, "b", 1), ElementsAre(0));
  ledger.Skip("b", Batches({{0, 1}}));
  EXPECT_TRUE(ledger.IsSound());
  EXPECT_EQ(ledger.skipped(), 1);
  EXPECT_THAT(ledger.last_skipped(), ElementsAre(0));
  v1::DataProgress progress;
  ledger.Fill(&progress);
  EXPECT_EQ(progress.skipped_batches(), 1);
  EXPECT_THAT(progress.last_skipped(), ElementsAre(0));
  EXPECT_EQ(progress.used_batches(), 1);
  EXPECT_EQ(progress.epoch_examples_left(), 20);
  // The other one counts from where it was, and is applied after all.
  EXPECT_THAT(Lease(&ledger, "b", 2), ElementsAre(1, 2));
  ledger.Use("b", Batches({{1, 2}}));
  EXPECT_TRUE(ledger.used_up());
}

TEST(BatchLedgerTest, WhoHasANumberNoMoreCannotSkipIt) {
  BatchLedger ledger(LedgerSpec(3, /*most_skips=*/1));
  Lease(&ledger, "a", 1);
  ledger.Lose("a");
  Lease(&ledger, "b", 1);
  ledger.Skip("a", Batches({{0, 1}}));
  EXPECT_EQ(ledger.skipped(), 0);
  EXPECT_TRUE(*ledger.AllUnused("b", Batches({{0, 1}})));
}

TEST(BatchLedgerTest, WhatIsReservedGoesToNobody) {
  BatchLedger ledger(LedgerSpec(4));
  Lease(&ledger, "a", 3);
  ledger.Lose("a");
  BatchRanges reserved;
  reserved.Add({1, 2});
  EXPECT_THAT(Lease(&ledger, "b", 2, reserved), ElementsAre(0, 2));
  EXPECT_FALSE(ledger.NoneFree(reserved));
  EXPECT_THAT(Lease(&ledger, "b", 2, reserved), ElementsAre(3));
  EXPECT_TRUE(ledger.NoneFree(reserved));
  EXPECT_FALSE(ledger.NoneFree({}));
}

TEST(BatchLedgerTest, ALeaseIsLimitedForOneAndForAll) {
  BatchLedger ledger(LedgerSpec(1'000'000));
  EXPECT_EQ(Lease(&ledger, "w0", 10'000).size(), static_cast<size_t>(BatchLedger::kMostLeased));
  EXPECT_THAT(Lease(&ledger, "w0", 1), IsEmpty());
  int64_t leased = BatchLedger::kMostLeased;
  for (int i = 1; i < 100; ++i) {
    leased += static_cast<int64_t>(Lease(&ledger, "w" + std::to_string(i), 1000).size());
  }
  EXPECT_EQ(leased, BatchLedger::kMostLeasedInAll);
  EXPECT_TRUE(ledger.NoneFree({}));
  ledger.Use("w0", Batches({{0, 1}}));
  EXPECT_FALSE(ledger.NoneFree({}));
}

// They are no lease any more, though their holder has not heard of it.
TEST(BatchLedgerTest, WhatOthersHaveUsedUpIsNotCountedAsLeased) {
  BatchLedger ledger(LedgerSpec(10'000));
  Lease(&ledger, "a", BatchLedger::kMostLeased);
  ledger.Lose("a");
  Lease(&ledger, "b", BatchLedger::kMostLeased);
  ledger.Use("a", Batches({{0, 100}}));
  EXPECT_EQ(Lease(&ledger, "b", BatchLedger::kMostLeased).size(), 100U);
  BatchRanges numbers;
  numbers.Add({50, 150});
  EXPECT_EQ(ledger.HeldOf("b", numbers).size(), 100);
  ledger.Return("b", Batches({{50, 100}}));
  EXPECT_EQ(ledger.HeldOf("b", numbers).size(), 0);
  EXPECT_THAT(Lease(&ledger, "c", 2), ElementsAre(100, 101));
}

TEST(BatchLedgerTest, TheOldestFormerHoldingsAreForgotten) {
  BatchLedger ledger(LedgerSpec(100'000));
  // 100 numbers with gaps between them, each worker.
  const auto lose_many = [&](const std::string& worker) {
    const std::vector<int64_t> numbers = Lease(&ledger, worker, 200);
    BatchLedger::Ranges odd;
    for (size_t i = 1; i < numbers.size(); i += 2) *odd.Add() = Batches({{numbers[i], 1}})[0];
    ledger.Use(worker, odd);
    ledger.Lose(worker);
    return numbers;
  };
  const std::vector<int64_t> first = lose_many("first");
  EXPECT_TRUE(ledger.AllUnused("first", Batches({{first[0], 1}})).ok());
  for (int i = 0; i < 100; ++i) lose_many("w" + std::to_string(i));
  EXPECT_FALSE(ledger.AllUnused("first", Batches({{first[0], 1}})).ok());
  state::v1::BatchLedgerState state;
  ledger.Write(&state);
  EXPECT_LE(state.former_size(), 11);
}

TEST(BatchLedgerTest, TheEpochIsThatOfTheLowestUnusedNumber) {
  v1::DataSet spec;
  spec.set_examples(25);
  spec.set_batch_size(10);
  spec.set_epochs(2);
  BatchLedger ledger(spec);
  const auto left = [&] {
    v1::WelcomeData welcome;
    ledger.Fill(&welcome);
    return std::make_pair(welcome.epoch(), welcome.epoch_examples_left());
  };
  EXPECT_EQ(left(), std::make_pair(int64_t{0}, int64_t{25}));
  Lease(&ledger, "a", 4);
  ledger.Use("a", Batches({{1, 2}}));
  EXPECT_EQ(left(), std::make_pair(int64_t{0}, int64_t{10}));
  ledger.Use("a", Batches({{3, 1}}));
  ledger.Use("a", Batches({{0, 1}}));
  EXPECT_EQ(left(), std::make_pair(int64_t{1}, int64_t{15}));
  Lease(&ledger, "a", 4);
  ledger.Use("a", Batches({{4, 2}}));
  EXPECT_EQ(left(), std::make_pair(int64_t{2}, int64_t{0}));
}

// Workers that do whatever they may, compared with a table of all numbers.
TEST(BatchLedgerTest, EveryNumberIsUsedOnceWhateverWorkersDo) {
  constexpr int64_t kBatches = 60;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto draw = [&](int64_t most) {
      return std::uniform_int_distribution<int64_t>(0, most)(random);
    };
    const v1::DataSet spec = LedgerSpec(kBatches, /*most_skips=*/2);
    BatchLedger ledger(spec);
    std::vector<int> used(kBatches);
    std::vector<int> skips(kBatches);
    std::vector<std::string> holder(kBatches);            // Of unused ones.
    std::vector<std::set<std::string>> claims(kBatches);  // Who may push it.
    for (int action = 0; action < 5000 && !ledger.used_up(); ++action) {
      const std::string worker(1, static_cast<char>('a' + draw(3)));
      const auto claimed = [&] {
        BatchLedger::Ranges ranges;
        for (int64_t i = 0; i < kBatches; ++i) {
          if (claims[i].count(worker) == 1 && draw(2) != 0) *ranges.Add() = Batches({{i, 1}})[0];
        }
        return ranges;
      };
      const auto let_go = [&](int64_t number) {
        claims[number].erase(worker);
        if (holder[number] == worker) holder[number].clear();
      };
      const int64_t what = draw(9);
      if (what < 4) {
        for (const int64_t number : Lease(&ledger, worker, 1 + draw(4))) {
          ASSERT_EQ(holder[number], "");
          ASSERT_EQ(used[number], 0);
          holder[number] = worker;
          claims[number].insert(worker);
        }
      } else if (what < 8) {
        const BatchLedger::Ranges ranges = claimed();
        bool unused = true;
        for (const int64_t number : NumbersIn(ranges)) unused = unused && used[number] == 0;
        const absl::StatusOr<bool> answer = ledger.AllUnused(worker, ranges);
        ASSERT_TRUE(answer.ok()) << answer.status();
        ASSERT_EQ(*answer, unused);
        const bool skip = unused && draw(5) == 0;
        for (const int64_t number : NumbersIn(ranges)) {
          if (skip && holder[number] == worker && ++skips[number] == 2) ++used[number];
          if (unused && !skip) ++used[number];
          let_go(number);
        }
        if (skip) {
          ledger.Skip(worker, ranges);
        } else if (unused) {
          ledger.Use(worker, ranges);
        } else {
          ledger.Return(worker, ranges);
        }
      } else if (what < 9) {
        ledger.Lose(worker);
        for (std::string& held : holder) {
          if (held == worker) held.clear();
        }
      } else {
        const BatchLedger::Ranges ranges = claimed();
        ledger.Lose(worker, ranges);
        for (const int64_t number : NumbersIn(ranges)) {
          if (holder[number] == worker) holder[number].clear();
        }
      }
      if (draw(200) == 0) {
        ledger.EndAll();
        for (std::string& held : holder) held.clear();
        for (std::set<std::string>& who : claims) who.clear();
      }
      if (draw(20) == 0) {  // Goes on from what was written.
        state::v1::BatchLedgerState state;
        ledger.Write(&state);
        BatchLedger read(spec);
        ASSERT_TRUE(read.Read(state).ok());
        ASSERT_EQ(WrittenLedger(read), WrittenLedger(ledger));
        ledger = read;
      }
      ASSERT_TRUE(ledger.IsSound()) << seed;
    }
    ASSERT_TRUE(ledger.used_up()) << seed;
    for (int64_t i = 0; i < kBatches; ++i) EXPECT_EQ(used[i], 1) << seed << ": " << i;
  }
}

TEST(BatchLedgerTest, WhatNoLedgerHasIsNamed) {
  BatchLedger ledger(LedgerSpec(20));
  Lease(&ledger, "a", 3);
  Lease(&ledger, "b", 3);
  ledger.Skip("b", Batches({{3, 1}}));
  state::v1::BatchLedgerState good;
  ledger.Write(&good);
  const auto refusal = [&](const state::v1::BatchLedgerState& state) {
    BatchLedger read(LedgerSpec(20));
    const absl::Status status = read.Read(state);
    EXPECT_EQ(ReasonOf(status), "STATE_INVALID");
    return std::string(status.message());
  };
  state::v1::BatchLedgerState bad = good;
  bad.set_next(21);
  EXPECT_THAT(refusal(bad), HasSubstr("the next batch is 21"));
  bad = good;
  bad.mutable_unused(0)->set_count(7);
  EXPECT_THAT(refusal(bad), HasSubstr("what is unused has 7 batches from 0 on"));
  bad = good;
  bad.mutable_held(1)->set_worker("a");
  EXPECT_THAT(refusal(bad), HasSubstr("\"a\" is there twice"));
  bad = good;
  *bad.mutable_held(0)->add_ranges() = bad.held(1).ranges(0);
  EXPECT_THAT(refusal(bad), HasSubstr("each batch once"));
  bad = good;
  bad.clear_held();
  EXPECT_THAT(refusal(bad), HasSubstr("each batch once"));
  bad = good;
  bad.mutable_skips(0)->set_skips(3);
  EXPECT_THAT(refusal(bad), HasSubstr("batch 3 was skipped 3 times"));
  bad = good;
  bad.add_last_skipped(4);
  EXPECT_THAT(refusal(bad), HasSubstr("0 batches are used up by skips, and 1 of them are named"));
}

}  // namespace
}  // namespace gradd
