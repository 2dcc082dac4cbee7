#ifndef GRADD_CORE_OPTIM_PARAMETER_AVERAGE_H_
#define GRADD_CORE_OPTIM_PARAMETER_AVERAGE_H_

#include <memory>
#include <utility>

#include "core/optim/element_math.h"
#include "core/optim/wrapped_optimizer.h"

namespace gradd {

// Keeps an exponential moving average of the parameters beside them (Polyak and Juditsky 1992,
// "Acceleration of Stochastic Approximation by Averaging", with exponential weights):
//   average = decay * average + (1 - decay) * p, from the initial parameters on.
class ParameterAverageOptimizer final : public WrappedOptimizer {
 public:
  ParameterAverageOptimizer(std::unique_ptr<Optimizer> inner, double decay)
      : WrappedOptimizer(std::move(inner),
                         {kAverageSlot, 0, /*starts_at_parameters=*/true, /*may_join=*/true}),
        fading_(Fading::Keeping(decay)) {}

  void UpdateTile(const Tile& tile, TileNorms* norms) const override {
    inner().UpdateTile(tile, norms);
    const float* const in = tile.slots_in[own_slot()];
    float* const out = tile.slots_out[own_slot()];
    for (int64_t i = 0; i < tile.size; ++i) {
      out[i] = Averaged(fading_, in[i], tile.parameters_out[i]);
    }
  }

 private:
  const Fading fading_;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_PARAMETER_AVERAGE_H_
