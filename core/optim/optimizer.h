#ifndef GRADD_CORE_OPTIM_OPTIMIZER_H_
#define GRADD_CORE_OPTIM_OPTIMIZER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/base/unaligned_float.h"
#include "core/store/slot.h"

namespace gradd {

// The name of every optimizer's slot that holds the point at which workers take gradients.
inline constexpr char kTrainingPoint[] = "training_point";

// The same for a slot that holds an average of the parameters, which can be pulled.
inline constexpr char kAverageSlot[] = "average";

// A number that an optimizer keeps between steps besides its slots.
struct ScalarSpec {
  std::string name;  // Stable, as a slot's.
  double initial_value = 0;
};

// What an update depends on besides the vectors.
struct StepInput {
  int64_t step = 0;          // Steps that this optimizer has applied before; 0 for the first.
  double learning_rate = 0;  // The schedule's rate, times the group's factor; finite, >= 0.
  double loss = 0;           // Mean loss of the pushes; finite.
  double momentum = -1;      // The schedule's, where it cycles one; below 0: none.

  // What takes the place of an optimizer's `own` momentum or beta1.
  double MomentumOr(double own) const { return momentum >= 0 ? momentum : own; }
  // The same rate without its warm-up, where it has one: that of methods with a rate of their own.
  std::optional<double> rate_without_warm_up = std::nullopt;
  // The rate of what the optimizer has in common with those of other parameter groups, which are
  // its scalars: the largest of their rates. Below 0: there are no others.
  double shared_rate = -1;
  double SharedRate() const { return shared_rate >= 0 ? shared_rate : learning_rate; }
};

// One tile of the vectors: elements of one tensor. `parameters_out` may be `parameters_in`, and a
// slot's out its in (an update in place); apart from that nothing overlaps.
struct Tile {
  int64_t begin = 0;  // Index of its first element in the flat vector.
  int64_t size = 0;   // 1 to kTileElements.
  size_t tensor = 0;  // Which of the optimizer's tensors, counted from 0.
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

  TileNorms& operator+=(const TileNorms& other) {
    gradient += other.gradient;
    update += other.update;
    parameters += other.parameters;
    return *this;
  }
};

class TensorTransform;

// An update rule with its hyper-parameters. It holds nothing between steps: the store keeps the
// slots, and its owner the scalars.
//
// A step: BeginStep(); where sums() > 0, SumTile() for every tile, then EndSums(); then
// UpdateTile() for every tile.
//
// Thread safety: BeginStep() and EndSums() are exclusive; SumTile() and UpdateTile() may be called
// from many threads for different tiles.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // The slots this optimizer needs, in the order of Tile::slots_in.
  virtual const std::vector<SlotSpec>& slots() const = 0;

  // Index of the slot that holds the point at which workers take gradients, or -1
  // where that is the parameters themselves.
  virtual int training_slot() const { return -1; }

  // What is done to the gradient of a whole tensor, one after the other, before anything else.
  virtual std::vector<const TensorTransform*> transforms() const;

  // What it keeps for each of its tensors, or once for all of them. In the latter case groups with
  // optimizers of one kind may share it: it then follows from sums over the tensors of all of them,
  // and from StepInput but for `learning_rate`; not from weight decay.
  virtual const std::vector<ScalarSpec>& scalars() const;
  virtual bool scalars_per_tensor() const { return false; }

  // Computes, in double, what is the same for all elements in this step. `scalars` are those that
  // it keeps, tensor after tensor, and may change.
  virtual void BeginStep(const StepInput& input, absl::Span<double> scalars) = 0;

  // Whether tiles of which there is no gradient need no update: their slots and parameters may wait
  // for the next one. Such an optimizer takes no sums.
  virtual bool lazy() const { return false; }

  // Whether its momentum or beta1 is StepInput's, where that has one.
  virtual bool follows_momentum() const { return false; }

  // How many sums over all elements of a tensor the update needs first, and whether it takes those
  // of each tensor by themselves.
  virtual int sums() const { return 0; }
  virtual bool sums_per_tensor() const { return false; }
  // Adds those of one tile, in an order that depends on its size alone.
  virtual void SumTile(const Tile& tile, double* sums) const;
  // `sums`: sums() for each tensor, one tensor after the other; of an optimizer that does not take
  // them by themselves also for tensors of groups that share its scalars.
  virtual void EndSums(absl::Span<const double> sums, absl::Span<double> scalars);

  // Updates one tile. The result depends on the tile's contents alone, and where noise
  // is added on Tile::begin; not on alignment, thread or the machine's vector width. A
  // null `norms` saves their computation.
  virtual void UpdateTile(const Tile& tile, TileNorms* norms) const = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_OPTIMIZER_H_
