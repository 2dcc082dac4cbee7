#include "core/optim/gradient_clip.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/norms.h"
#include "core/optim/hyper_parameters.h"

namespace gradd {

double GradientClip::SquaredNorm(const UnalignedFloat* gradient, int64_t size) const {
  double sum = 0;
  for (int64_t begin = 0; begin < size; begin += kNormRun) {
    const int64_t run = std::min(kNormRun, size - begin);
    alignas(64) float bounded[kNormRun];
    Apply(1, gradient + begin, run, bounded);
    sum += gradd::SquaredNorm(bounded, run);
  }
  return sum;
}

void GradientClip::Apply(float factor, const UnalignedFloat* gradient, int64_t size,
                         float* out) const {
  const auto bound = static_cast<float>(value);
  for (int64_t i = 0; i < size; ++i) {
    out[i] = factor * std::min(std::max(static_cast<float>(gradient[i]), -bound), bound);
  }
}

absl::StatusOr<GradientClip> ReadGradientClip(const v1::Optimizer& spec) {
  HyperParameters read("optimizer");
  GradientClip clip;
  clip.value = GRADD_HYPER_PARAMETER(&read, spec, clip_by_value, clip.value, kAboveZeroUpToMillion);
  clip.tensor_norm = GRADD_HYPER_PARAMETER(&read, spec, clip_by_tensor_norm, clip.tensor_norm,
                                           kAboveZeroUpToMillion);
  clip.global_norm = GRADD_HYPER_PARAMETER(&read, spec, clip_by_global_norm, clip.global_norm,
                                           kAboveZeroUpToMillion);
  GRADD_RETURN_IF_ERROR(read.status());
  return clip;
}

}  // namespace gradd
