#ifndef GRADD_CORE_OPTIM_SHAMPOO_H_
#define GRADD_CORE_OPTIM_SHAMPOO_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/optim/hyper_parameters.h"
#include "core/optim/tensor_transform.h"
#include "gradd/v1/optimizer_whole_tensor.pb.h"

namespace gradd {

// Shampoo (Gupta, Koren and Singer 2018, "Shampoo: Preconditioned Stochastic Tensor Optimization",
// algorithm 1). For a matrix
//   L = decay * L + G G^T;  R = decay * R + G^T G
//   m = momentum * m + (L + epsilon I)^(-1/4) G (R + epsilon I)^(-1/4);  p = p - lr * m,
// where the roots are computed anew every `refresh_interval` steps. A side that is longer than
// `max_dimension` is left out, with the root -1/2 for the other one. A tensor that is no matrix, or
// has no side left, gets the diagonal: s = decay * s + g^2 and g / sqrt(s + epsilon).
class Shampoo final : public TensorTransform {
 public:
  static Shampoo Read(const v1::Shampoo& in, HyperParameters* read);

  std::vector<TensorStateSpec> State(const TensorShape& shape) const override;
  int64_t ScratchBytes(const TensorShape& shape) const override;
  void Transform(const StepInput& input, const TensorShape& shape,
                 const Vectors& vectors) const override;

 private:
  struct Room;
  static constexpr size_t kStatePerSide = 4;

  bool Preconditions(const TensorShape& shape, int64_t side) const {
    return shape.is_matrix() && side <= max_dimension_;
  }

  // Of those that it preconditions; 0: none.
  int64_t LongestSide(const TensorShape& shape) const;
  // Conditions the gradient of a tensor that has such a side. Returns how much of the state that
  // was.
  size_t Precondition(const StepInput& input, const TensorShape& shape,
                      const Vectors& vectors) const;
  // Adds room->square to a side's statistics, and puts their root into room->root.
  void TakeRoot(const StepInput& input, int64_t side, double exponent, float* const* state,
                Room* room) const;

  double epsilon_ = 1e-4;
  double decay_ = 1;
  double momentum_ = 0;
  int64_t refresh_interval_ = 10;
  int64_t max_dimension_ = 512;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SHAMPOO_H_
