#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"

namespace gradd {
namespace {

const std::vector<std::string>& Seeds() {
  static const auto* const kSeeds = new std::vector<std::string>{
      "GET /metrics HTTP/1.1\r\nHost: localhost:9090\r\nAccept: */*\r\n\r\n",
      "HEAD /healthz?verbose=1 HTTP/1.0\n\n",
      "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
      "GET  / HTTP/1.1\r\n\r\n",
      "\r\n",
      "\n\r\n",
      "\r",
      std::string(3000, 'x'),
      std::string(1, '\0'),
  };
  return *kSeeds;
}

TEST(PageRequestFuzzTest, AnyCutsOfAnyRequestAreTheSame) {
  for (unsigned seed = 0; seed < 30'000; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = Mutate(Seeds(), &random);
    ASSERT_EQ(CheckPageRequest(bytes, RandomCuts(&random)), "") << "seed " << seed;
  }
}

// The end of the head around the most that it may have, in reads of all sizes.
TEST(PageRequestFuzzTest, AHeadIsAsLargeHoweverItIsCut) {
  const std::string line = "GET / HTTP/1.1\r\nX: ";
  for (size_t size = (8 << 10) - 6; size < (8 << 10) + 3; ++size) {
    const std::string bytes =
        line + std::string(size - line.size() - 4, 'x') + "\r\n\r\n" + std::string(300, 'b');
    for (const char* cuts : {"", "\1", "\xff", "\7\x90"}) {
      ASSERT_EQ(CheckPageRequest(bytes, cuts), "") << size;
    }
  }
}

TEST(PageRequestFuzzTest, WhatAFuzzerFoundIsTheSameHoweverItIsCut) {
  for (const std::string& input : Corpus("page_request")) {
    const FuzzInput parts(input);
    ASSERT_EQ(CheckPageRequest(parts.bytes, parts.cuts), "");
    ASSERT_EQ(CheckPageRequest(parts.bytes, "\1"), "");
  }
}

}  // namespace
}  // namespace gradd
