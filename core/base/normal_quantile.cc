#include "core/base/normal_quantile.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/base/portable_math.h"

namespace gradd {
namespace {

// Lowest power first.
using Coefficients = std::array<double, 8>;

constexpr Coefficients kCentreAbove = {3.3871328727963666080e+0, 1.3314166789178437745e+2,
                                       1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                       4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                       3.3430575583588128105e+4, 2.5090809287301226727e+3};
constexpr Coefficients kCentreBelow = {1,
                                       4.2313330701600911252e+1,
                                       6.8718700749205790830e+2,
                                       5.3941960214247511077e+3,
                                       2.1213794301586595867e+4,
                                       3.9307895800092710610e+4,
                                       2.8729085735721942674e+4,
                                       5.2264952788528545610e+3};
constexpr Coefficients kTailAbove = {1.42343711074968357734e+0, 4.63033784615654529590e+0,
                                     5.76949722146069140550e+0, 3.64784832476320460504e+0,
                                     1.27045825245236838258e+0, 2.41780725177450611770e-1,
                                     2.27238449892691845833e-2, 7.74545014278341407640e-4};
constexpr Coefficients kTailBelow = {1,
                                     2.05319162663775882187e+0,
                                     1.67638483018380384940e+0,
                                     6.89767334985100004550e-1,
                                     1.48103976427480074590e-1,
                                     1.51986665636164571966e-2,
                                     5.47593808499534494600e-4,
                                     1.05075007164441684324e-9};
constexpr Coefficients kFarAbove = {6.65790464350110377720e+0, 5.46378491116411436990e+0,
                                    1.78482653991729133580e+0, 2.96560571828504891230e-1,
                                    2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                    2.71155556874348757815e-5, 2.01033439929228813265e-7};
constexpr Coefficients kFarBelow = {1,
                                    5.99832206555887937690e-1,
                                    1.36929880922735805310e-1,
                                    1.48753612908506148525e-2,
                                    7.86869131145613259100e-4,
                                    1.84631831751005468180e-5,
                                    1.42151175831644588870e-7,
                                    2.04426310338993978564e-15};

double Quotient(const Coefficients& above, const Coefficients& below, double x) {
  double numerator = 0;
  double denominator = 0;
  for (size_t i = above.size(); i-- > 0;) {
    numerator = numerator * x + above[i];
    denominator = denominator * x + below[i];
  }
  return numerator / denominator;
}

}  // namespace

double NormalQuantile(double p) {
  const double q = p - 0.5;
  if (std::abs(q) <= 0.425) return q * Quotient(kCentreAbove, kCentreBelow, 0.180625 - q * q);
  const double root = std::sqrt(-Logarithm(q < 0 ? p : 1 - p));
  const double value = root <= 5 ? Quotient(kTailAbove, kTailBelow, root - 1.6)
                                 : Quotient(kFarAbove, kFarBelow, root - 5);
  return q < 0 ? -value : value;
}

double NormalProbability(double z) {
  if (z > 0) return 1 - NormalProbability(-z);
  // Between the two by halves. Positive numbers are in the order of their bits, so this is as
  // quick for the smallest.
  const auto bits_of = [](double p) {
    uint64_t bits = 0;
    std::memcpy(&bits, &p, sizeof(bits));
    return bits;
  };
  uint64_t low = bits_of(0x1p-1000);
  uint64_t high = bits_of(0.5);
  double p = 0.5;
  while (high - low > 1) {
    const uint64_t middle = low + (high - low) / 2;
    std::memcpy(&p, &middle, sizeof(p));
    (NormalQuantile(p) < z ? low : high) = middle;
  }
  std::memcpy(&p, &high, sizeof(p));
  return p;
}

}  // namespace gradd
