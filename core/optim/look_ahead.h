#ifndef GRADD_CORE_OPTIM_LOOK_AHEAD_H_
#define GRADD_CORE_OPTIM_LOOK_AHEAD_H_

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "core/base/norms.h"
#include "core/optim/element_math.h"
#include "core/optim/wrapped_optimizer.h"

namespace gradd {

// Lookahead (Zhang, Lucas, Hinton and Ba 2019, "Lookahead Optimizer: k steps forward, 1 step back",
// algorithm 1): every `interval` steps of another optimizer
//   slow = slow + alpha * (p - slow);  p = slow.
class LookAheadOptimizer final : public WrappedOptimizer {
 public:
  LookAheadOptimizer(std::unique_ptr<Optimizer> inner, int interval, double alpha)
      : WrappedOptimizer(std::move(inner),
                         {"slow_parameters", 0, /*starts_at_parameters=*/true, /*may_join=*/true}),
        interval_(interval),
        fading_(Fading::Taking(alpha)) {}

  void BeginStep(const StepInput& input, absl::Span<double> scalars) override {
    meets_ = (input.step + 1) % interval_ == 0;
    WrappedOptimizer::BeginStep(input, scalars);
  }

  void UpdateTile(const Tile& tile, TileNorms* norms) const override {
    std::array<float, kTileElements> before;
    if (meets_) std::copy_n(tile.parameters_in, tile.size, before.data());
    inner().UpdateTile(tile, norms);
    if (meets_) {
      Meet(tile, before.data(), norms);
    } else if (tile.slots_in[own_slot()] != tile.slots_out[own_slot()]) {
      std::copy_n(tile.slots_in[own_slot()], tile.size, tile.slots_out[own_slot()]);
    }
  }

 private:
  void Meet(const Tile& tile, const float* before, TileNorms* norms) const {
    const float* const in = tile.slots_in[own_slot()];
    float* const out = tile.slots_out[own_slot()];
    std::array<float, kTileElements> update;
    for (int64_t i = 0; i < tile.size; ++i) {
      out[i] = Averaged(fading_, in[i], tile.parameters_out[i]);
      tile.parameters_out[i] = out[i];
      update[static_cast<size_t>(i)] = out[i] - before[i];
    }
    if (training_slot() >= 0) std::copy_n(out, tile.size, tile.slots_out[training_slot()]);
    if (norms == nullptr) return;
    norms->update = LongSquaredNorm(update.data(), tile.size);
    norms->parameters = LongSquaredNorm(out, tile.size);
  }

  const int interval_;
  const Fading fading_;
  bool meets_ = false;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_LOOK_AHEAD_H_
