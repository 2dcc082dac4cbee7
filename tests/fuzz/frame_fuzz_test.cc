#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "server/frame_guard.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"

namespace gradd {
namespace {

std::string Frame(size_t type, size_t flags, size_t size) {
  std::string frame;
  for (const size_t byte : {size >> 16, size >> 8, size, type, flags}) {
    frame.push_back(static_cast<char>(byte));
  }
  // The stream, then a payload that looks like heads of frames.
  frame.resize(9, '\1');
  frame.resize(9 + size, '\1');
  return frame;
}

// As an honest client may send them, but for sizes and numbers: DATA, whole header blocks of
// several frames, and what controls them.
std::string RandomFrames(std::mt19937* random) {
  const auto below = [random](size_t bound) { return (*random)() % bound; };
  // Few, or enough to go too far.
  const size_t header_bytes = below(2) == 0 ? 300 : 12'000;
  std::string frames;
  for (size_t count = below(20); count > 0; --count) {
    switch (below(4)) {
      case 0:
        frames += Frame(0, below(2), below(3) == 0 ? below(70'000) : below(20));
        break;
      case 1:
        frames += Frame(1, 0, below(header_bytes));
        for (size_t more = below(8); more > 0; --more) frames += Frame(9, 0, below(header_bytes));
        frames += Frame(9, 4, below(header_bytes));
        break;
      case 2:
        frames += Frame(8, 0, 4);
        break;
      default:
        for (size_t more = below(40); more > 0; --more) frames += Frame(2 + below(12), 0, below(9));
    }
  }
  return frames;
}

std::string WideCuts(std::mt19937* random) {
  std::string cuts = RandomCuts(random);
  if ((*random)() % 2 == 0) {
    for (char& cut : cuts) cut = static_cast<char>((*random)());
  }
  return cuts;
}

TEST(FrameFuzzTest, AnyCutsOfAnyFramesHaveTheSameVerdict) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = RandomFrames(&random);
    ASSERT_EQ(CheckFrames(bytes, WideCuts(&random)), "") << "seed " << seed;
    // Without its end, and somewhat changed.
    const std::string part = bytes.substr(0, random() % (bytes.size() + 1));
    ASSERT_EQ(CheckFrames(part, WideCuts(&random)), "") << "seed " << seed;
    const std::string changed = Mutate({part, Frame(1, 0, 3), Frame(4, 0, 0)}, &random);
    ASSERT_EQ(CheckFrames(changed, WideCuts(&random)), "") << "seed " << seed;
  }
}

TEST(FrameFuzzTest, TooManyControlFramesAreCountedHoweverTheyAreCut) {
  for (const int64_t more : {0, 1}) {
    std::string bytes;
    for (int64_t i = 0; i < FrameGuard::kMaxControlFrames + more; ++i) bytes += Frame(6, 0, 8);
    for (unsigned seed = 0; seed < 50; ++seed) {
      std::mt19937 random(seed);
      ASSERT_EQ(CheckFrames(bytes, WideCuts(&random)), "") << "seed " << seed;
    }
  }
}

TEST(FrameFuzzTest, WhatAFuzzerFoundHasTheSameVerdictHoweverItIsCut) {
  for (const std::string& input : Corpus("frame")) {
    const FuzzInput parts(input);
    ASSERT_EQ(CheckFrames(parts.bytes, parts.cuts), "");
    ASSERT_EQ(CheckFrames(parts.bytes, "\1"), "");
  }
}

}  // namespace
}  // namespace gradd
