#include "core/data/example_permutation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace gradd {
namespace {

using testing::ElementsAre;

std::vector<int64_t> FirstPlaces(const ExamplePermutation& order, int64_t places) {
  std::vector<int64_t> examples;
  for (int64_t place = 0; place < places; ++place) examples.push_back(order.At(place));
  return examples;
}

bool IsPermutation(int64_t examples, uint64_t seed, int64_t epoch) {
  const ExamplePermutation order(examples, seed, epoch);
  std::vector<bool> seen(static_cast<size_t>(examples));
  for (int64_t place = 0; place < examples; ++place) {
    const int64_t example = order.At(place);
    if (example < 0 || example >= examples || seen[static_cast<size_t>(example)]) return false;
    seen[static_cast<size_t>(example)] = true;
  }
  return true;
}

TEST(ExamplePermutationTest, EveryExampleComesOnceInDataSetsOfAnySize) {
  for (int64_t examples = 1; examples <= 2000; ++examples) {
    EXPECT_TRUE(IsPermutation(examples, /*seed=*/11, examples % 7)) << examples;
  }
  for (const int64_t examples : {4095, 4096, 4097, 16385, 60'000, 65'537, 100'003, 262'145}) {
    EXPECT_TRUE(IsPermutation(examples, /*seed=*/~uint64_t{0}, /*epoch=*/3)) << examples;
  }
}

// The same as docs/data.md has, and as a program in Python gives that was written from it.
TEST(ExamplePermutationTest, ItIsTheDocumentedOne) {
  EXPECT_THAT(FirstPlaces(ExamplePermutation(1, 0, 0), 1), ElementsAre(0));
  EXPECT_THAT(FirstPlaces(ExamplePermutation(10, 0, 0), 10),
              ElementsAre(1, 7, 5, 3, 4, 2, 9, 6, 8, 0));
  EXPECT_THAT(FirstPlaces(ExamplePermutation(10, 0, 1), 10),
              ElementsAre(5, 9, 3, 0, 4, 6, 7, 2, 8, 1));
  EXPECT_THAT(FirstPlaces(ExamplePermutation(10, 1, 0), 10),
              ElementsAre(2, 5, 8, 0, 9, 3, 1, 7, 6, 4));
  EXPECT_THAT(FirstPlaces(ExamplePermutation(60'000, 7, 2), 4),
              ElementsAre(57'831, 57'937, 50'468, 11'498));
  EXPECT_THAT(FirstPlaces(ExamplePermutation(1'000'003, ~uint64_t{0}, 5), 3),
              ElementsAre(627'750, 453'718, 684'412));
  const int64_t largest = int64_t{1} << 40;
  const ExamplePermutation order(largest, 42, int64_t{1} << 31);
  EXPECT_THAT(FirstPlaces(order, 2), ElementsAre(515'943'756'869, 973'342'442'678));
  EXPECT_EQ(order.At(largest - 1), 318'406'543'689);
}

TEST(ExamplePermutationTest, EpochsAndSeedsHaveOrdersOfTheirOwn) {
  constexpr int64_t kExamples = 10'000;
  const auto same = [&](const ExamplePermutation& a, const ExamplePermutation& b) {
    int64_t places = 0;
    for (int64_t place = 0; place < kExamples; ++place)
      places += a.At(place) == b.At(place) ? 1 : 0;
    return places;
  };
  const ExamplePermutation order(kExamples, 3, 0);
  // Of two random orders, one place is the same on average; more than 12 are with one in 1e9.
  for (int64_t epoch = 1; epoch <= 20; ++epoch) {
    EXPECT_LE(same(order, ExamplePermutation(kExamples, 3, epoch)), 12) << epoch;
    EXPECT_LE(same(order, ExamplePermutation(kExamples, 3 + static_cast<uint64_t>(epoch), 0)), 12);
  }
}

// Pearson's statistic of `counts` that should all be the same, in standard deviations from its
// mean.
double DeviationOf(const std::vector<int64_t>& counts) {
  double sum = 0;
  for (const int64_t count : counts) sum += static_cast<double>(count);
  const auto cells = static_cast<double>(counts.size());
  const double mean = sum / cells;
  double statistic = 0;
  for (const int64_t count : counts) {
    statistic += (static_cast<double>(count) - mean) * (static_cast<double>(count) - mean) / mean;
  }
  return (statistic - (cells - 1)) / std::sqrt(2 * (cells - 1));
}

TEST(ExamplePermutationTest, OverTheEpochsEveryExampleComesAsOftenAtEveryPlace) {
  for (const int64_t examples : {2, 3, 5, 16, 40}) {
    const auto size = static_cast<size_t>(examples);
    std::vector<int64_t> counts(size * size);
    for (int64_t epoch = 0; epoch < 20'000; ++epoch) {
      const ExamplePermutation order(examples, /*seed=*/5, epoch);
      for (size_t place = 0; place < size; ++place) {
        ++counts[place * size + static_cast<size_t>(order.At(static_cast<int64_t>(place)))];
      }
    }
    EXPECT_LT(std::abs(DeviationOf(counts)), 5) << examples;
  }
}

TEST(ExamplePermutationTest, NeighboursAreAnywhereInTheNextEpoch) {
  constexpr int64_t kExamples = 100'000;
  constexpr int64_t kCells = 100;
  const ExamplePermutation order(kExamples, /*seed=*/1, /*epoch=*/0);
  std::vector<int64_t> distances(kCells);
  for (int64_t place = 0; place + 1 < kExamples; ++place) {
    const int64_t distance = (order.At(place + 1) - order.At(place) + kExamples) % kExamples;
    ++distances[static_cast<size_t>(distance * kCells / kExamples)];
  }
  EXPECT_LT(std::abs(DeviationOf(distances)), 5);
}

}  // namespace
}  // namespace gradd
