#ifndef GRADD_CORE_OPTIM_ACCUMULATION_H_
#define GRADD_CORE_OPTIM_ACCUMULATION_H_

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "core/base/norms.h"
#include "core/optim/wrapped_optimizer.h"

namespace gradd {

// Gradient accumulation: the mean of the gradients of `steps` steps makes one step of another
// optimizer, at the last of them; until then the parameters stay as they are.
class AccumulationOptimizer final : public WrappedOptimizer {
 public:
  AccumulationOptimizer(std::unique_ptr<Optimizer> inner, int steps)
      : WrappedOptimizer(std::move(inner), {kAccumulatedGradient}), steps_(steps) {}

  void BeginStep(const StepInput& input, absl::Span<double> scalars) override {
    last_ = (input.step + 1) % steps_ == 0;
    if (!last_) return;
    StepInput of_inner = input;
    of_inner.step = input.step / steps_;
    WrappedOptimizer::BeginStep(of_inner, scalars);
  }

  void SumTile(const Tile& tile, double* sums) const override {
    if (!last_) return;
    std::array<float, kTileElements> mean;
    inner().SumTile(WithMean(tile, mean.data()), sums);
  }

  void EndSums(absl::Span<const double> sums, absl::Span<double> scalars) override {
    if (last_) WrappedOptimizer::EndSums(sums, scalars);
  }

  void UpdateTile(const Tile& tile, TileNorms* norms) const override {
    const float* const in = tile.slots_in[own_slot()];
    float* const out = tile.slots_out[own_slot()];
    if (last_) {
      std::array<float, kTileElements> mean;
      inner().UpdateTile(WithMean(tile, mean.data()), norms);
      std::fill_n(out, tile.size, 0.0F);
    } else {
      for (int64_t i = 0; i < tile.size; ++i) out[i] = in[i] + tile.gradient[i];
      Keep(tile);
      if (norms != nullptr) {
        norms->update = 0;
        norms->parameters = LongSquaredNorm(tile.parameters_out, tile.size);
      }
    }
    if (norms != nullptr) norms->gradient = LongSquaredNorm(tile.gradient, tile.size);
  }

 private:
  Tile WithMean(const Tile& tile, float* mean) const {
    const float* const accumulated = tile.slots_in[own_slot()];
    const auto share = static_cast<float>(1.0 / steps_);
    for (int64_t i = 0; i < tile.size; ++i) mean[i] = (accumulated[i] + tile.gradient[i]) * share;
    Tile with_mean = tile;
    with_mean.gradient = mean;
    return with_mean;
  }

  void Keep(const Tile& tile) const {
    const auto keep = [&tile](const float* from, float* to) {
      if (from != to) std::copy_n(from, tile.size, to);
    };
    keep(tile.parameters_in, tile.parameters_out);
    for (size_t slot = 0; slot < own_slot(); ++slot) {
      keep(tile.slots_in[slot], tile.slots_out[slot]);
    }
  }

  const int steps_;
  bool last_ = false;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ACCUMULATION_H_
