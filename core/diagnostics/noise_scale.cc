#include "core/diagnostics/noise_scale.h"

#include <algorithm>

#include "core/base/error.h"

namespace gradd {

void NoiseScale::AddStep(absl::Span<const MeasuredPush> pushes) {
  is_known_ = pushes.size() > 1;
  if (!is_known_) return;
  const MeasuredMean mean(pushes);
  double by_push = 0;
  for (const MeasuredPush& push : pushes) {
    by_push += static_cast<double>(push.examples) * push.squared_norm;
  }
  const double covariance_trace =
      (by_push - mean.examples * mean.squared_norm) / static_cast<double>(pushes.size() - 1);
  covariance_trace_.Add(covariance_trace);
  squared_norm_.Add(mean.squared_norm - covariance_trace / mean.examples);
}

std::optional<double> NoiseScale::value() const {
  if (!is_known_ || !(squared_norm_.value() > 0)) return std::nullopt;
  // Of pushes that are the same, roundings are left.
  return std::max(covariance_trace_.value(), 0.0) / squared_norm_.value();
}

void NoiseScale::Write(state::v1::NoiseScaleState* state) const {
  covariance_trace_.Write(state->mutable_covariance_trace());
  squared_norm_.Write(state->mutable_squared_norm());
}

absl::Status NoiseScale::Read(const state::v1::NoiseScaleState& state) {
  is_known_ = false;
  GRADD_RETURN_IF_ERROR(covariance_trace_.Read(state.covariance_trace()));
  return squared_norm_.Read(state.squared_norm());
}

}  // namespace gradd
