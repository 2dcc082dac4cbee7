#ifndef GRADD_CORE_OPTIM_OPTIMIZER_H_
#define GRADD_CORE_OPTIM_OPTIMIZER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/unaligned_float.h"

namespace gradd {

// The fused loop works on tiles of this many elements: gradient, parameters and
// slots of one tile stay in the L1 cache from summation to norms. Blocks are whole
// numbers of tiles, except for a layout's last one, so the results of per-tile
// reductions do not depend on the block size.
inline constexpr int64_t kTileElements = 2048;

// One optimizer state vector of a run, as long as its parameters.
struct SlotSpec {
  std::string name;  // Stable: checkpoints and metrics use it. Example: "momentum".
  float initial_value = 0;
};

// What an update depends on besides the vectors.
struct StepInput {
  int64_t step = 0;          // Steps applied before this one; 0 for the first.
  double learning_rate = 0;  // The schedule's rate at `step`; finite, >= 0.
};

// One tile of the vectors. `parameters_out` may be `parameters_in`, and a slot's
// out its in (an update in place); apart from that nothing overlaps.
struct Tile {
  int64_t size = 0;  // 1 to kTileElements.
  const UnalignedFloat* gradient = nullptr;
  const float* parameters_in = nullptr;
  float* parameters_out = nullptr;
  const float* const* slots_in = nullptr;  // slots().size() pointers.
  float* const* slots_out = nullptr;
};

// Squared L2 norms, summed over elements.
struct TileNorms {
  double gradient = 0;    // Of the gradient as given.
  double update = 0;      // Of parameters_out - parameters_in.
  double parameters = 0;  // Of parameters_out.
};

// An update rule with its hyper-parameters. It holds no per-parameter state: the
// store keeps the slots.
//
// Thread safety: BeginStep() is exclusive; after it UpdateTile() may be called from
// many threads for different tiles.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // The slots this optimizer needs, in the order of Tile::slots_in.
  virtual const std::vector<SlotSpec>& slots() const = 0;

  // Index of the slot that holds the point at which workers take gradients, or -1
  // where that is the parameters themselves. At step 0 the store fills this slot
  // with the initial parameters.
  virtual int training_slot() const { return -1; }

  // Computes, in double, the scalars of one step.
  virtual void BeginStep(const StepInput& input) = 0;

  // Updates one tile. The result depends on the tile's contents alone, not on its
  // place, alignment, thread or the machine's vector width. A null `norms` saves
  // their computation.
  virtual void UpdateTile(const Tile& tile, TileNorms* norms) const = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_OPTIMIZER_H_
