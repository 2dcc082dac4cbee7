#ifndef GRADD_WORKER_MODELS_DENSE_NETWORK_H_
#define GRADD_WORKER_MODELS_DENSE_NETWORK_H_

#include <cstdint>
#include <vector>

#include "core/base/thread_pool.h"
#include "worker/models/model.h"

namespace gradd {

// What is minimized, as the mean over the examples.
enum class Loss {
  // -log softmax(output)[label].
  kSoftmaxCrossEntropy,
  // (output - target)^2 for a single output, without a factor of 1/2: its gradient
  // with respect to the output is 2 (output - target).
  kSquaredError,
};

// Layers of output = input * weights + bias with ReLU between them and a loss at the
// end. With hidden layers it is a multi-layer perceptron; without any it is softmax
// regression or linear regression, as the loss says.
//
// Tensors, for layers 1, 2, ...: `layer1/weights` [inputs, outputs] and `layer1/bias`
// [outputs]. Biases start at zero. Weights that lead to a ReLU start uniform within
// sqrt(6 / inputs) (He et al. 2015), those of the last layer within
// sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010); those of a model without
// hidden layers, which is convex, at zero.
//
// Products are cut into tiles whose size depends on nothing but the shapes, and each tile
// is one product on one thread: the results have the same bits with any number of
// threads. They differ between CPUs, as OpenBLAS's kernels do.
//
// Instances exist for float and double.
template <typename Scalar>
class DenseNetwork : public Model<Scalar> {
 public:
  // `features`, `outputs` and each of `hidden` at least 1; one output for
  // kSquaredError. `pool` computes the tiles and must outlive the model; null: the
  // calling thread does.
  DenseNetwork(int64_t features, const std::vector<int64_t>& hidden, int64_t outputs, Loss loss,
               ThreadPool* pool = nullptr);

  double AddGradient(absl::Span<const Scalar> parameters, const BatchView<Scalar>& batch,
                     Scalar scale, absl::Span<Scalar> gradient) override;
  EvaluationSums Evaluate(absl::Span<const Scalar> parameters,
                          const BatchView<Scalar>& batch) override;

 private:
  struct Layer {
    int64_t inputs;
    int64_t outputs;
    int64_t weights;  // Offset in the flat vector.
    int64_t bias;     // Offset in the flat vector.
  };

  static std::vector<Layer> MakeLayers(int64_t features, const std::vector<int64_t>& hidden,
                                       int64_t outputs);
  static v1::Layout MakeLayout(const std::vector<Layer>& layers);
  DenseNetwork(std::vector<Layer> layers, Loss loss, ThreadPool* pool);

  // Calls task(begin, size) for every tile of [0, count).
  template <typename Task>
  void ForTiles(int64_t count, const Task& task) const;
  // Fills outputs_ for the batch.
  void Forward(absl::Span<const Scalar> parameters, const BatchView<Scalar>& batch);
  // The input of `layer`, an examples x inputs matrix.
  const Scalar* Input(size_t layer, const BatchView<Scalar>& batch) const;
  // The sum of the losses; replaces the last outputs by `scale` times its gradient with
  // respect to them.
  double LossToDelta(const BatchView<Scalar>& batch, Scalar scale);

  const std::vector<Layer> layers_;
  const Loss loss_;
  ThreadPool* const pool_;
  // Per layer, after ReLU but for the last: examples x outputs.
  std::vector<std::vector<Scalar>> outputs_;
  // Per layer but the last: the gradient with respect to its output before ReLU.
  std::vector<std::vector<Scalar>> deltas_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_MODELS_DENSE_NETWORK_H_
