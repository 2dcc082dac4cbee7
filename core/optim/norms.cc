#include "core/optim/norms.h"

#include <algorithm>
#include <cmath>

namespace gradd {
namespace {

// Sixteen lanes are four vectors of SSE, two of AVX, one of AVX-512: the compiler may use any
// and adds the same numbers in the same order.
constexpr int64_t kLanes = 16;
// Elements that are summed in float32 before the sum goes to double.
constexpr int64_t kRun = 256;

double SumLanes(const float* lanes) {
  double sum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) sum += static_cast<double>(lanes[lane]);
  return sum;
}

// For values whose squares leave the range of float32.
double SlowSquaredNorm(const float* values, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

}  // namespace

double SquaredNorm(const float* values, int64_t size) {
  double sum = 0;
  for (int64_t begin = 0; begin < size; begin += kRun) {
    const int64_t count = std::min(kRun, size - begin);
    const float* const run = values + begin;
    float lanes[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += run[i + lane] * run[i + lane];
    }
    for (int64_t lane = 0; lane < kLanes && i < count; ++lane, ++i) lanes[lane] += run[i] * run[i];
    sum += SumLanes(lanes);
  }
  // Squares below 2^-126 lose bits or vanish; a sum this small may consist of them.
  constexpr double kTiny = 1e-28;
  if (std::isfinite(sum) && sum > kTiny) return sum;
  return SlowSquaredNorm(values, size);
}

}  // namespace gradd
