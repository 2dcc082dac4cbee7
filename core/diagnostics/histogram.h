#ifndef GRADD_CORE_DIAGNOSTICS_HISTOGRAM_H_
#define GRADD_CORE_DIAGNOSTICS_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace gradd {

// Counts durations from 10 microseconds to 10 seconds. Not thread safe.
class SecondsHistogram {
 public:
  // Upper bounds of the buckets, in seconds; a last bucket takes what is above.
  static constexpr std::array<double, 13> kBounds = {1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2,
                                                     3e-2, 0.1,  0.3,  1,    3,    10};

  void Add(double seconds) {
    size_t bucket = 0;
    while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
    ++counts_[bucket];
    sum_ += seconds;
  }

  // Observations per bucket, not cumulated.
  const std::array<uint64_t, kBounds.size() + 1>& counts() const { return counts_; }
  double sum() const { return sum_; }

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  double sum_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_HISTOGRAM_H_
