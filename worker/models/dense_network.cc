#include "worker/models/dense_network.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/blas.h"

namespace gradd {
namespace {

template <typename Scalar>
using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <typename Scalar>
using RowVector = Eigen::Matrix<Scalar, 1, Eigen::Dynamic>;

template <typename Scalar>
Eigen::Map<Matrix<Scalar>> MapMatrix(Scalar* data, int64_t rows, int64_t columns) {
  return {data, rows, columns};
}
template <typename Scalar>
Eigen::Map<const Matrix<Scalar>> MapMatrix(const Scalar* data, int64_t rows, int64_t columns) {
  return {data, rows, columns};
}
template <typename Scalar>
Eigen::Map<RowVector<Scalar>> MapRow(Scalar* data, int64_t columns) {
  return {data, columns};
}
template <typename Scalar>
Eigen::Map<const RowVector<Scalar>> MapRow(const Scalar* data, int64_t columns) {
  return {data, columns};
}

// Large enough that packing the other factor anew for each tile does not show.
constexpr int64_t kTile = 128;

template <typename Scalar>
void GrowTo(int64_t elements, std::vector<Scalar>* buffer) {
  if (buffer->size() < static_cast<size_t>(elements)) buffer->resize(static_cast<size_t>(elements));
}

void AddTensor(const std::string& name, std::initializer_list<int64_t> shape, double bound,
               v1::Layout* layout) {
  v1::Tensor& tensor = *layout->add_tensors();
  tensor.set_name(name);
  for (const int64_t dimension : shape) tensor.add_shape(dimension);
  if (bound > 0) {
    v1::Initializer::Uniform& uniform = *tensor.mutable_initializer()->mutable_uniform();
    uniform.set_low(static_cast<float>(-bound));
    uniform.set_high(static_cast<float>(bound));
  }
}

}  // namespace

template <typename Scalar>
std::vector<typename DenseNetwork<Scalar>::Layer> DenseNetwork<Scalar>::MakeLayers(
    int64_t features, const std::vector<int64_t>& hidden, int64_t outputs) {
  std::vector<Layer> layers;
  int64_t inputs = features;
  int64_t offset = 0;
  const auto add = [&](int64_t width) {
    layers.push_back({inputs, width, offset, offset + inputs * width});
    offset += (inputs + 1) * width;
    inputs = width;
  };
  for (const int64_t width : hidden) add(width);
  add(outputs);
  return layers;
}

template <typename Scalar>
v1::Layout DenseNetwork<Scalar>::MakeLayout(const std::vector<Layer>& layers) {
  v1::Layout layout;
  for (size_t i = 0; i < layers.size(); ++i) {
    const Layer& layer = layers[i];
    const bool last = i + 1 == layers.size();
    double bound = 0;
    if (layers.size() > 1) {
      bound = std::sqrt(6.0 / static_cast<double>(layer.inputs + (last ? layer.outputs : 0)));
    }
    const std::string prefix = absl::StrCat("layer", i + 1);
    AddTensor(prefix + "/weights", {layer.inputs, layer.outputs}, bound, &layout);
    AddTensor(prefix + "/bias", {layer.outputs}, 0, &layout);
  }
  return layout;
}

template <typename Scalar>
DenseNetwork<Scalar>::DenseNetwork(std::vector<Layer> layers, Loss loss, ThreadPool* pool)
    : Model<Scalar>(MakeLayout(layers), layers.back().bias + layers.back().outputs),
      layers_(std::move(layers)),
      loss_(loss),
      pool_(pool),
      outputs_(layers_.size()),
      deltas_(layers_.size() - 1) {
  KeepBlasSingleThreaded();
}

template <typename Scalar>
DenseNetwork<Scalar>::DenseNetwork(int64_t features, const std::vector<int64_t>& hidden,
                                   int64_t outputs, Loss loss, ThreadPool* pool)
    : DenseNetwork(MakeLayers(features, hidden, outputs), loss, pool) {}

template <typename Scalar>
template <typename Task>
void DenseNetwork<Scalar>::ForTiles(int64_t count, const Task& task) const {
  const int64_t tiles = (count + kTile - 1) / kTile;
  const auto tile = [&](int64_t i) { task(i * kTile, std::min(kTile, count - i * kTile)); };
  if (pool_ != nullptr && tiles > 1) {
    pool_->ParallelFor(tiles, tile);
  } else {
    for (int64_t i = 0; i < tiles; ++i) tile(i);
  }
}

template <typename Scalar>
const Scalar* DenseNetwork<Scalar>::Input(size_t layer, const BatchView<Scalar>& batch) const {
  return layer == 0 ? batch.features.data() : outputs_[layer - 1].data();
}

template <typename Scalar>
void DenseNetwork<Scalar>::Forward(absl::Span<const Scalar> parameters,
                                   const BatchView<Scalar>& batch) {
  const int64_t rows = batch.examples;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    GrowTo(rows * layer.outputs, &outputs_[i]);
    const auto input = MapMatrix(Input(i, batch), rows, layer.inputs);
    const auto weights =
        MapMatrix(&parameters[static_cast<size_t>(layer.weights)], layer.inputs, layer.outputs);
    const auto bias = MapRow(&parameters[static_cast<size_t>(layer.bias)], layer.outputs);
    auto output = MapMatrix(outputs_[i].data(), rows, layer.outputs);
    const bool last = i + 1 == layers_.size();
    ForTiles(rows, [&](int64_t begin, int64_t size) {
      auto tile = output.middleRows(begin, size);
      tile.rowwise() = bias;
      tile.noalias() += input.middleRows(begin, size) * weights;
      if (!last) tile = tile.cwiseMax(Scalar{0});
    });
  }
}

template <typename Scalar>
double DenseNetwork<Scalar>::LossToDelta(const BatchView<Scalar>& batch, Scalar scale) {
  auto output = MapMatrix(outputs_.back().data(), batch.examples, layers_.back().outputs);
  double loss = 0;
  if (loss_ == Loss::kSquaredError) {
    for (int64_t row = 0; row < batch.examples; ++row) {
      const Scalar error = output(row, 0) - batch.targets[static_cast<size_t>(row)];
      loss += static_cast<double>(error) * static_cast<double>(error);
      output(row, 0) = scale * 2 * error;
    }
    return loss;
  }
  for (int64_t row = 0; row < batch.examples; ++row) {
    auto scores = output.row(row);
    const int32_t label = batch.labels[static_cast<size_t>(row)];
    // The greatest score is subtracted so that exp() cannot overflow.
    scores.array() -= scores.maxCoeff();
    const Scalar score = scores(label);
    scores = scores.array().exp();
    const Scalar sum = scores.sum();
    loss += std::log(static_cast<double>(sum)) - static_cast<double>(score);
    scores *= scale / sum;
    scores(label) -= scale;
  }
  return loss;
}

template <typename Scalar>
double DenseNetwork<Scalar>::AddGradient(absl::Span<const Scalar> parameters,
                                         const BatchView<Scalar>& batch, Scalar scale,
                                         absl::Span<Scalar> gradient) {
  Forward(parameters, batch);
  const double loss = LossToDelta(batch, scale);
  const int64_t rows = batch.examples;
  for (size_t i = layers_.size(); i-- > 0;) {
    const Layer& layer = layers_[i];
    const bool last = i + 1 == layers_.size();
    const auto delta =
        MapMatrix<Scalar>((last ? outputs_[i] : deltas_[i]).data(), rows, layer.outputs);
    const auto input = MapMatrix(Input(i, batch), rows, layer.inputs);
    auto weights_gradient =
        MapMatrix(&gradient[static_cast<size_t>(layer.weights)], layer.inputs, layer.outputs);
    ForTiles(layer.inputs, [&](int64_t begin, int64_t size) {
      weights_gradient.middleRows(begin, size).noalias() +=
          input.middleCols(begin, size).transpose() * delta;
    });
    auto bias = MapRow(&gradient[static_cast<size_t>(layer.bias)], layer.outputs);
    for (int64_t row = 0; row < rows; ++row) bias += delta.row(row);
    if (i == 0) break;
    GrowTo(rows * layer.inputs, &deltas_[i - 1]);
    const auto weights =
        MapMatrix(&parameters[static_cast<size_t>(layer.weights)], layer.inputs, layer.outputs);
    auto below = MapMatrix(deltas_[i - 1].data(), rows, layer.inputs);
    ForTiles(rows, [&](int64_t begin, int64_t size) {
      auto tile = below.middleRows(begin, size);
      tile.noalias() = delta.middleRows(begin, size) * weights.transpose();
      tile = (input.middleRows(begin, size).array() > Scalar{0}).select(tile, Scalar{0});
    });
  }
  return loss;
}

template <typename Scalar>
EvaluationSums DenseNetwork<Scalar>::Evaluate(absl::Span<const Scalar> parameters,
                                              const BatchView<Scalar>& batch) {
  Forward(parameters, batch);
  EvaluationSums sums;
  sums.examples = batch.examples;
  if (loss_ == Loss::kSoftmaxCrossEntropy) {
    const auto output =
        MapMatrix<Scalar>(outputs_.back().data(), batch.examples, layers_.back().outputs);
    for (int64_t row = 0; row < batch.examples; ++row) {
      Eigen::Index best = 0;
      output.row(row).maxCoeff(&best);
      if (best == batch.labels[static_cast<size_t>(row)]) ++sums.correct;
    }
  }
  sums.loss = LossToDelta(batch, Scalar{1});
  return sums;
}

template class DenseNetwork<float>;
template class DenseNetwork<double>;

}  // namespace gradd
