#include "core/codec/top_k.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/codec/float_bits.h"
#include "core/codec/random_k.h"

namespace gradd {
namespace {

constexpr size_t kLeastCandidates = 1024;
// Few enough that most runs have no candidate, enough that asking for one pays.
constexpr size_t kRun = 16;

// As a number that has the same order, and that SSE2 can compare.
int32_t Magnitude(float value) { return static_cast<int32_t>(BitsOf(value) & 0x7FFFFFFF); }

}  // namespace

int32_t TopK::SampledThreshold(absl::Span<const float> values, size_t k) {
  constexpr size_t kSample = size_t{1} << 15;
  if (values.size() <= 2 * kSample) return 0;
  if (sampled_elements_ != values.size()) {
    sampled_elements_ = values.size();
    RandomK(static_cast<int64_t>(values.size()), kSample, /*seed=*/0, &sampled_);
  }
  sample_.resize(sampled_.size());
  std::transform(sampled_.begin(), sampled_.end(), sample_.begin(),
                 [values](uint32_t index) { return Magnitude(values[index]); });
  const double expected =
      static_cast<double>(k) * static_cast<double>(kSample) / static_cast<double>(values.size());
  // Too low costs time in proportion, too high a second pass: four deviations are rare enough.
  const auto rank = static_cast<size_t>(expected + 4 * std::sqrt(expected) + 4);
  if (rank >= kSample) return 0;
  const auto at = sample_.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(sample_.begin(), at, sample_.end(), std::greater<>());
  return *at;
}

void TopK::Prune(size_t k) {
  if (candidates_.size() <= k) return;
  scratch_ = candidates_;
  const auto kth = scratch_.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(scratch_.begin(), kth, scratch_.end(), std::greater<>());
  const uint64_t least = *kth;
  candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(),
                                   [least](uint64_t key) { return key < least; }),
                    candidates_.end());
  // Equal magnitudes that come later have lower keys.
  threshold_ = static_cast<int32_t>(least >> 32);
}

void TopK::Collect(absl::Span<const float> values, size_t k) {
  const size_t most = std::max(2 * k, kLeastCandidates);
  candidates_.clear();
  // As many as there can be, so that later pushes find the memory there.
  candidates_.reserve(most + kRun);
  scratch_.reserve(most + kRun);
  for (size_t begin = 0; begin < values.size(); begin += kRun) {
    const size_t end = std::min(begin + kRun, values.size());
    int32_t largest = 0;
    for (size_t i = begin; i < end; ++i) largest = std::max(largest, Magnitude(values[i]));
    if (largest <= threshold_) continue;
    for (size_t i = begin; i < end; ++i) {
      const int32_t magnitude = Magnitude(values[i]);
      if (magnitude <= threshold_) continue;
      candidates_.push_back(Key(static_cast<uint32_t>(magnitude), static_cast<uint32_t>(i)));
    }
    if (candidates_.size() >= most) Prune(k);
  }
  Prune(k);
}

void TopK::Select(absl::Span<const float> values, int64_t k, std::vector<uint32_t>* indices) {
  const auto wanted = static_cast<size_t>(k);
  const int32_t start = threshold_ = SampledThreshold(values, wanted);
  Collect(values, wanted);
  if (candidates_.size() < wanted && start > 0) {
    threshold_ = 0;
    Collect(values, wanted);
  }
  indices->clear();
  for (const uint64_t key : candidates_) {
    indices->push_back(UINT32_MAX - static_cast<uint32_t>(key));
  }
}

}  // namespace gradd
