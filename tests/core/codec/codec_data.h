#ifndef GRADD_TESTS_CORE_CODEC_CODEC_DATA_H_
#define GRADD_TESTS_CORE_CODEC_CODEC_DATA_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "core/codec/float_bits.h"

namespace gradd {

// Gradients of very different sizes.
inline std::vector<float> RandomValues(int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (int64_t i = 0; i < size; ++i) {
    values.push_back(std::ldexp(normal(random), static_cast<int>(random() % 24) - 20));
  }
  return values;
}

// Runs `work(out)` on memory for `bytes` bytes at every alignment, and checks that nothing
// outside of them is written.
template <typename Work>
void AtEveryAlignment(int64_t bytes, const Work& work) {
  constexpr std::byte kSentinel{0xA5};
  constexpr size_t kAlignments = 5;
  const auto size = static_cast<size_t>(bytes);
  for (size_t at = 1; at < kAlignments; ++at) {
    std::vector<std::byte> memory(at + size + kAlignments, kSentinel);
    work(memory.data() + at);
    for (size_t i = 0; i < at; ++i) ASSERT_EQ(memory[i], kSentinel) << "before the begin";
    for (size_t i = at + size; i < memory.size(); ++i) {
      ASSERT_EQ(memory[i], kSentinel) << "past the end";
    }
  }
}

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_CODEC_CODEC_DATA_H_
