#include "core/diagnostics/agreement.h"

#include <algorithm>
#include <cmath>

namespace gradd {

std::optional<double> AgreementOf(const MeasuredPush& push, const MeasuredMean& mean) {
  const double all = mean.examples;
  const auto own = static_cast<double>(push.examples);
  const double sum = all * all * mean.squared_norm;   // Squared norms: of the sum of all,
  const double part = own * own * push.squared_norm;  // of the push's part in it,
  const double rest = sum - 2 * all * own * push.with_mean + part;  // and of the others'.
  // The mean is rounded to float32, element by element: of a difference of numbers that are nearly
  // the same, that leaves nothing.
  constexpr double kRoundings = 1e-6;
  if (!(push.squared_norm > 0) || !(rest > kRoundings * std::max(sum, part))) return std::nullopt;
  const double product = all * push.with_mean - own * push.squared_norm;
  return std::clamp(product / (std::sqrt(push.squared_norm) * std::sqrt(rest)), -1.0, 1.0);
}

std::optional<LowestAgreement> LowestAgreementOf(absl::Span<const MeasuredPush> pushes) {
  std::optional<LowestAgreement> lowest;
  if (pushes.size() < 2) return lowest;
  const MeasuredMean mean(pushes);
  for (const MeasuredPush& push : pushes) {
    const std::optional<double> cosine = AgreementOf(push, mean);
    if (!cosine.has_value() || (lowest.has_value() && !(*cosine < lowest->cosine))) continue;
    lowest = {push.worker, *cosine};
  }
  return lowest;
}

}  // namespace gradd
