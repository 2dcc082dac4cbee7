#ifndef GRADD_CORE_STORE_SLOT_H_
#define GRADD_CORE_STORE_SLOT_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace gradd {

// Updates work on tiles of this many elements: gradient, parameters and slots of one tile stay in
// the L1 cache from summation to norms. Blocks are whole numbers of tiles, except for a layout's
// last one, so the results of per-tile reductions do not depend on the block size.
inline constexpr int64_t kTileElements = 2048;

// One optimizer state vector of a run, as long as its parameters.
struct SlotSpec {
  std::string name;  // Stable: checkpoints and metrics use it. Example: "momentum".
  float initial_value = 0;
  bool starts_at_parameters = false;  // Instead of at `initial_value`.
  bool may_join = false;  // May start at any step, while the optimizer's other slots go on.
};

// A slot as a run has it: for some of its elements.
struct SlotVector {
  struct Section {
    int64_t begin;
    int64_t end;
    float initial_value;
    bool starts_at_parameters;
    bool restarts;  // Also where a slot of that name has been there before.
  };
  std::string name;
  std::vector<Section> sections;  // Ascending, without overlaps.

  // Whether it has elements from `begin` up to `end`.
  bool Meets(int64_t begin, int64_t end) const {
    return std::any_of(sections.begin(), sections.end(), [&](const Section& section) {
      return section.begin < end && begin < section.end;
    });
  }
};

// The slots of a run, and which of them holds the point at which workers take gradients; -1:
// the parameters do.
struct SlotVectors {
  std::vector<SlotVector> slots;
  int training_slot = -1;
  int average_slot = -1;  // An average of the parameters that can be read; -1: there is none.
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_SLOT_H_
