#ifndef GRADD_CORE_OPTIM_GRADIENT_CLIP_H_
#define GRADD_CORE_OPTIM_GRADIENT_CLIP_H_

#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "core/base/unaligned_float.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// Bounds of a gradient, in front of any rule and of weight decay, one after the other (Pascanu,
// Mikolov and Bengio 2013, "On the difficulty of training recurrent neural networks", algorithm 1,
// for the norms):
//   g = min(max(g, -value), value)
//   g = g * min(1, tensor_norm / |g|), |g| over a tensor
//   g = g * min(1, global_norm / |g|), |g| over all tensors of the group.
struct GradientClip {
  double value = std::numeric_limits<double>::infinity();
  double tensor_norm = std::numeric_limits<double>::infinity();
  double global_norm = std::numeric_limits<double>::infinity();

  bool by_norm() const { return tensor_norm < kNone || global_norm < kNone; }
  bool any() const { return value < kNone || by_norm(); }

  // Sum of squares of `size` values after the bound of each.
  double SquaredNorm(const UnalignedFloat* gradient, int64_t size) const;
  // Writes factor * min(max(g, -value), value).
  void Apply(float factor, const UnalignedFloat* gradient, int64_t size, float* out) const;

 private:
  static constexpr double kNone = std::numeric_limits<double>::infinity();
};

// That of `spec`. INVALID_ARGUMENT names field, value and range.
absl::StatusOr<GradientClip> ReadGradientClip(const v1::Optimizer& spec);

// What a bound multiplies a vector of that norm with.
inline double ClipFactor(double bound, double norm) { return norm > bound ? bound / norm : 1; }

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_GRADIENT_CLIP_H_
