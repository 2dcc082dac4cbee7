#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"

namespace gradd {
namespace {

std::string FileOf(const std::string& json, size_t data_bytes) {
  std::string file(8, '\0');
  file[0] = static_cast<char>(json.size() & 0xff);
  file[1] = static_cast<char>(json.size() >> 8);
  return file + json + std::string(data_bytes, 'x');
}

// Files to begin from.
std::vector<std::string> FileSeeds() {
  return {
      FileOf(R"({})", 0),
      FileOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8),
      FileOf(R"({"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1),
      FileOf(R"({"a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]},)"
             R"("b":{"dtype":"BF16","shape":[0],"data_offsets":[4,4]}})",
             4),
      FileOf(R"({"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}} )", 1),
  };
}

TEST(SafetensorsFuzzTest, ChangedFilesAreReadAsAPlainReaderDoes) {
  const std::vector<std::string> seeds = FileSeeds();
  for (const std::string& seed : seeds) ASSERT_EQ(CheckSafetensors(seed, ""), "");
  for (unsigned seed = 0; seed < 50'000; ++seed) {
    std::mt19937 random(seed);
    std::string bytes = Mutate(seeds, &random);
    ASSERT_EQ(CheckSafetensors(bytes, ""), "") << "seed " << seed;
    // The same with the length that it has.
    if (bytes.size() < 8) continue;
    ASSERT_EQ(CheckSafetensors(FileOf(bytes.substr(8), seed % 9), ""), "") << "seed " << seed;
  }
}

TEST(SafetensorsFuzzTest, WhatAFuzzerFoundIsReadAsAPlainReaderDoes) {
  for (const std::string& input : Corpus("safetensors")) {
    ASSERT_EQ(CheckSafetensors(FuzzInput(input).bytes, ""), "");
  }
}

}  // namespace
}  // namespace gradd
