#ifndef GRADD_CORE_OPTIM_TENSOR_TRANSFORM_H_
#define GRADD_CORE_OPTIM_TENSOR_TRANSFORM_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/optim/optimizer.h"
#include "core/optim/weight_decay.h"

namespace gradd {

// The shape of a tensor, and how it is seen as a matrix: its first dimension by all others.
struct TensorShape {
  std::vector<int64_t> dimensions;  // Each at least 1; none: a scalar.

  int64_t elements() const {
    int64_t product = 1;
    for (const int64_t dimension : dimensions) product *= dimension;
    return product;
  }
  bool is_matrix() const { return dimensions.size() >= 2; }
  int64_t rows() const { return is_matrix() ? dimensions.front() : 1; }
  int64_t columns() const { return elements() / rows(); }
};

// A vector of float32 that a transform keeps for a tensor.
struct TensorStateSpec {
  std::string name;  // Stable, as a slot's.
  int64_t length = 0;
  float initial_value = 0;
};

// Turns the gradient of a whole tensor into another one, for rules that no single element can
// follow: those of rows, columns and matrices. It holds nothing between steps.
//
// Thread safe: different tensors may be transformed at the same time. The result depends on the
// arguments alone. Nothing is allocated and nothing thrown: a step cannot fail for want of memory.
class TensorTransform {
 public:
  virtual ~TensorTransform() = default;

  // Sets to 0 the weight decay that the transform applies itself, in another way than the optimizer
  // around it does.
  void TakeDecay(WeightDecay* /*decay*/) {}

  // What it keeps for a tensor of that shape.
  virtual std::vector<TensorStateSpec> State(const TensorShape& shape) const = 0;

  // Whether it looks at the parameters.
  virtual bool needs_parameters() const { return false; }

  // Bytes that it needs to work in, besides a tensor's vectors. See Scratch.
  virtual int64_t ScratchBytes(const TensorShape& /*shape*/) const { return 0; }

  // A tensor's vectors, each of as many elements as it has.
  struct Vectors {
    const float* gradient = nullptr;
    const float* parameters = nullptr;  // Null if they are not needed.
    float* result = nullptr;
    float* const* state = nullptr;  // In the order of State().
    std::byte* scratch = nullptr;   // ScratchBytes() of them, whatever they are.
  };
  virtual void Transform(const StepInput& input, const TensorShape& shape,
                         const Vectors& vectors) const = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_TENSOR_TRANSFORM_H_
