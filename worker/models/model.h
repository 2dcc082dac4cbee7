#ifndef GRADD_WORKER_MODELS_MODEL_H_
#define GRADD_WORKER_MODELS_MODEL_H_

#include <cstdint>

#include "absl/types/span.h"
#include "gradd/v1/layout.pb.h"

namespace gradd {

// Some examples, where they lie. Classification has labels, regression targets; the
// other span is empty.
template <typename Scalar>
struct BatchView {
  int64_t examples = 0;
  absl::Span<const Scalar> features;  // examples x features, row-major.
  absl::Span<const int32_t> labels;   // In [0, classes).
  absl::Span<const Scalar> targets;
};

// What a model makes of some examples. Sums, so that parts of a data set add up.
struct EvaluationSums {
  int64_t examples = 0;
  double loss = 0;      // Over the examples.
  int64_t correct = 0;  // Examples whose label was predicted; 0 in regression.
};

// A differentiable loss over one flat vector of parameters, that of its layout.
// Scalar is float in the worker and double where a test checks the gradient.
//
// Works on the caller's vectors in place. The only memory of its own are
// activations for the largest batch so far, so that nothing is allocated from the
// second step on. Not thread safe.
template <typename Scalar>
class Model {
 public:
  virtual ~Model() = default;

  // The tensors with their initializers.
  const v1::Layout& layout() const { return layout_; }
  int64_t parameter_count() const { return parameter_count_; }

  // Adds `scale` times the sum over the batch of each example's gradient to `gradient`
  // and returns the sum of their losses. A large batch can so be fed in parts.
  virtual double AddGradient(absl::Span<const Scalar> parameters, const BatchView<Scalar>& batch,
                             Scalar scale, absl::Span<Scalar> gradient) = 0;

  // Loss and hits without a gradient.
  virtual EvaluationSums Evaluate(absl::Span<const Scalar> parameters,
                                  const BatchView<Scalar>& batch) = 0;

  // Overwrites `gradient` with the mean over the batch and returns the mean loss.
  double LossAndGradient(absl::Span<const Scalar> parameters, const BatchView<Scalar>& batch,
                         absl::Span<Scalar> gradient);

 protected:
  Model(v1::Layout layout, int64_t parameter_count)
      : layout_(std::move(layout)), parameter_count_(parameter_count) {}

 private:
  const v1::Layout layout_;
  const int64_t parameter_count_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_MODELS_MODEL_H_
