#ifndef GRADD_CORE_OPTIM_MUON_H_
#define GRADD_CORE_OPTIM_MUON_H_

#include <cstdint>
#include <vector>

#include "core/optim/hyper_parameters.h"
#include "core/optim/tensor_transform.h"
#include "gradd/v1/optimizer_whole_tensor.pb.h"

namespace gradd {

// Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"): momentum,
// orthogonalized. For a matrix
//   m = momentum * m + (1 - momentum) * g;  u = momentum * m + (1 - momentum) * g (Nesterov), or m
//   X = u / (|u| + epsilon), and newton_schulz_steps times
//     X = a X + (b A + c A A) X, A = X X^T, (a, b, c) = (3.4445, -4.7750, 2.0315)
//   p = p - lr * scale * X
// with scale = sqrt(max(1, rows / columns)), or 0.2 * sqrt(max(rows, columns)) to match the size of
// AdamW's updates (Liu et al. 2025, "Muon is Scalable for LLM Training", equation 4). Other tensors
// get the step of Adam (Kingma and Ba 2015, algorithm 1) at lr * adam_learning_rate_factor, which
// is also the rate of their decoupled weight decay.
class Muon final : public TensorTransform {
 public:
  static Muon Read(const v1::Muon& in, HyperParameters* read);
  // Where Adam has a rate of its own.
  void TakeDecay(WeightDecay* decay);

  std::vector<TensorStateSpec> State(const TensorShape& shape) const override;
  int64_t ScratchBytes(const TensorShape& shape) const override;
  bool needs_parameters() const override { return decoupled_ != 0; }
  void Transform(const StepInput& input, const TensorShape& shape,
                 const Vectors& vectors) const override;

 private:
  void TransformMatrix(const StepInput& input, const TensorShape& shape,
                       const Vectors& vectors) const;
  void TransformOther(const StepInput& input, const TensorShape& shape,
                      const Vectors& vectors) const;

  double momentum_ = 0.95;
  bool nesterov_ = true;
  int newton_schulz_steps_ = 5;
  double epsilon_ = 1e-7;
  bool match_adamw_ = false;
  double adam_beta1_ = 0.9;
  double adam_beta2_ = 0.999;
  double adam_epsilon_ = 1e-8;
  double adam_learning_rate_factor_ = 1;
  double decoupled_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_MUON_H_
