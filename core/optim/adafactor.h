#ifndef GRADD_CORE_OPTIM_ADAFACTOR_H_
#define GRADD_CORE_OPTIM_ADAFACTOR_H_

#include <cstdint>
#include <vector>

#include "core/optim/hyper_parameters.h"
#include "core/optim/tensor_transform.h"
#include "gradd/v1/optimizer_whole_tensor.pb.h"

namespace gradd {

// Adafactor (Shazeer and Stern 2018, "Adafactor: Adaptive Learning Rates with Sublinear Memory
// Cost", algorithms 4 and 5), with the learning rate as an upper bound of the relative step, as
// torch.optim.Adafactor has it. With b = 1 - t^beta2_decay, for a matrix, and for each matrix of
// the last two dimensions of a tensor that has more, as torch and the authors' code have it,
//   R = b * R + (1 - b) * row means of g^2;  C = b * C + (1 - b) * column means of g^2
//   V = R C^T / mean(R)
// with mean(R) at least epsilon1, and for tensors of fewer dimensions V = b * V + (1 - b) * g^2;
// then
//   U = g / sqrt(max(V, epsilon1));  U = U / max(1, RMS(U) / clip_threshold)
//   p = p - max(epsilon2, RMS(p)) * min(lr, 1 / sqrt(t)) * U.
class Adafactor final : public TensorTransform {
 public:
  static Adafactor Read(const v1::Adafactor& in, HyperParameters* read);

  std::vector<TensorStateSpec> State(const TensorShape& shape) const override;
  int64_t ScratchBytes(const TensorShape& shape) const override;
  bool needs_parameters() const override { return true; }
  void Transform(const StepInput& input, const TensorShape& shape,
                 const Vectors& vectors) const override;

 private:
  // Divides the gradient of one matrix by the root of V.
  void DivideMatrix(double keep, int64_t rows, int64_t columns, const float* gradient, float* row,
                    float* column, double* column_sums, float* result) const;

  double beta2_decay_ = -0.8;
  double epsilon1_ = 1e-30;  // Least mean square of a gradient.
  double epsilon2_ = 1e-3;   // Least scale of a parameter.
  double clip_threshold_ = 1;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ADAFACTOR_H_
