#ifndef GRADD_CORE_BASE_NORMS_H_
#define GRADD_CORE_BASE_NORMS_H_

#include <cmath>
#include <cstdint>

#include "core/base/unaligned_float.h"

namespace gradd {

// Most values that SquaredNorm() takes: so many squares are added in float32 before the sum goes
// on in double.
inline constexpr int64_t kNormRun = 1024;

// Adds terms that come one after the other, each in the next lane. The lanes are whole vectors of
// SSE, AVX and AVX-512: the compiler may use any and adds the same numbers in the same order; and
// several of them, so that an addition need not wait for the one before. Everything is inlined, so
// that it is as wide as the function which uses it (multiversion.h).
template <typename Scalar, int64_t kCount>
class SumLanes {
 public:
  static constexpr int64_t kLanes = kCount;

  [[gnu::always_inline]] void Add(int64_t lane, Scalar term) { lanes_[lane] += term; }

  [[gnu::always_inline]] double Sum() const {
    // In pairs: one after the other, each addition would wait for the one before.
    double sums[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] = static_cast<double>(lanes_[lane]);
    for (int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (int64_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
    }
    return sums[0];
  }

 private:
  Scalar lanes_[kLanes] = {};
};

// The same for squares of values.
template <typename Scalar>
class SquareLanes {
 public:
  static constexpr int64_t kLanes = 64;

  [[gnu::always_inline]] void Add(int64_t lane, Scalar value) { sums_.Add(lane, value * value); }
  [[gnu::always_inline]] double Sum() const { return sums_.Sum(); }

 private:
  SumLanes<Scalar, kLanes> sums_;
};

namespace norms_internal {

// So few that lanes cost more than they save.
inline double SumOfFewSquares(const UnalignedFloat* values, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    const auto value = static_cast<double>(values[i]);
    sum += value * value;
  }
  return sum;
}

template <typename Scalar>
[[gnu::always_inline]] inline double SumOfSquares(const UnalignedFloat* values, int64_t size) {
  constexpr int64_t kLanes = SquareLanes<Scalar>::kLanes;
  if (size < kLanes) return SumOfFewSquares(values, size);
  SquareLanes<Scalar> lanes;
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes.Add(lane, static_cast<Scalar>(values[i + lane]));
    }
  }
  for (int64_t lane = 0; lane < kLanes && i < size; ++lane, ++i) {
    lanes.Add(lane, static_cast<Scalar>(values[i]));
  }
  return lanes.Sum();
}

// The rare case, of which one copy is enough.
[[gnu::noinline]] inline double SumOfSquaresInDouble(const UnalignedFloat* values, int64_t size) {
  return SumOfSquares<double>(values, size);
}

}  // namespace norms_internal

// `sum`, of the squares of `size` values in float32 lanes, at most kNormRun; or a better one where
// squares have left the range of float32.
[[gnu::always_inline]] inline double CheckedSum(double sum, const UnalignedFloat* values,
                                                int64_t size) {
  // Squares below 2^-126 lose bits or vanish; a sum this small may consist of them.
  constexpr double kTiny = 1e-28;
  if (std::isfinite(sum) && sum > kTiny) return sum;
  return norms_internal::SumOfSquaresInDouble(values, size);
}

// Sum of squares of `size` values, 0 to kNormRun, added in an order that depends on `size` alone.
// The relative error is below 1e-5, also where squares leave the range of float32. Finite exactly
// when every value is.
[[gnu::always_inline]] inline double SquaredNorm(const UnalignedFloat* values, int64_t size) {
  return CheckedSum(norms_internal::SumOfSquares<float>(values, size), values, size);
}

// The same for any size, run by run.
inline double LongSquaredNorm(const UnalignedFloat* values, int64_t size) {
  double sum = 0;
  for (int64_t at = 0; at < size; at += kNormRun) {
    sum += SquaredNorm(values + at, size - at < kNormRun ? size - at : kNormRun);
  }
  return sum;
}

// The same in double throughout: exact to some 1e-15.
inline double SquaredNormInDouble(const UnalignedFloat* values, int64_t size) {
  return norms_internal::SumOfSquaresInDouble(values, size);
}

// Sum of `size` values in double, added in an order that depends on `size` alone.
template <typename Scalar>
inline double Sum(const Scalar* values, int64_t size) {
  constexpr int64_t kLanes = 16;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += values[i + lane];
    }
  }
  for (int64_t lane = 0; lane < kLanes && i < size; ++lane, ++i) {
    lanes[lane] += values[i];
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace gradd

#endif  // GRADD_CORE_BASE_NORMS_H_
