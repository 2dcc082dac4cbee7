#ifndef GRADD_CORE_OPTIM_UPDATE_PLAN_H_
#define GRADD_CORE_OPTIM_UPDATE_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/optim/optimizer.h"
#include "core/optim/parameter_groups.h"
#include "core/optim/scratch_pool.h"
#include "core/optim/tensor_work.h"
#include "core/store/encoded_block.h"
#include "core/store/gradient_reader.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// What a plan keeps between steps besides the slots. Together with them it is all that the next
// steps depend on. The names are stable:
//   next_step                       of the run;
//   groups/<index>/first_step       of the run, when the group's optimizer began; below 0 in a copy
//                                   of another run, where it began before the copy;
//   groups/<index>/scalars/<name>   one value, or one for each of the group's tensors in the
//                                   layout's order, see Optimizer::scalars();
//   tensors/<name>/<tensor>         see TensorTransform::State().
// Groups are counted as in the spec, the default group last; frozen ones and those without tensors
// have nothing.
using PlanState =
    std::map<std::string,
             std::variant<std::vector<int64_t>, std::vector<double>, std::vector<float>>>;

// How the vectors of a run are updated: which optimizer works on which tensor, with which slots.
//
// A step: BeginStep(); transform_passes() times TransformTensor() for each of
// transformed_tensors(), then EndTransforms(); sum_passes() times SumBlock() for every block, then
// EndSums(); then UpdateBlock() for every block. Results do not depend on the blocks' length and
// order.
//
// Where rows are missing from the gradient, for tensors that IsLazy(), a step takes SumSpans() and
// UpdateSpans() instead, for the blocks of which something is there, after MeasureBlock() for every
// block if NeedsMeasure().
//
// Thread safety: TransformTensor() and what takes a block may be called from many threads for
// different tensors resp. blocks; everything else is exclusive.
class UpdatePlan {
 public:
  // INVALID_ARGUMENT as MakeParameterGroups(). `block_elements` is a multiple of kTileElements.
  // There will be memory for so many calls of TransformTensor() at a time as there are `threads`;
  // further ones wait.
  static absl::StatusOr<std::unique_ptr<UpdatePlan>> Create(
      const Layout& layout, const v1::Optimizer& optimizer,
      const google::protobuf::RepeatedPtrField<v1::ParameterGroup>& groups, int64_t block_elements,
      int threads = 1);

  // Whether the momentum or beta1 of all its optimizers follows StepInput::momentum.
  bool follows_momentum() const;
  // The slots that it needs, and what of them starts anew when it takes the place of `before`;
  // null: it is the first one.
  SlotVectors slots(const UpdatePlan* before) const;
  // Bytes of all slots, and of what is kept for whole tensors.
  int64_t state_bytes() const { return slot_bytes() + kept_bytes(); }
  // Those that Allocate() takes: to keep, and to work in while a step is applied.
  int64_t kept_bytes() const;
  int64_t scratch_bytes() const { return scratch_ == nullptr ? 0 : scratch_->bytes(); }
  // Takes the memory that it needs besides the slots: for what it keeps, and to work in, so that no
  // step allocates any. Throws std::bad_alloc if there is none; to be called again then. When all
  // is there it does nothing.
  void Allocate();

  // Takes over what `before` has kept, where that means the same here. Otherwise an optimizer
  // begins with its first step. Both are allocated.
  void Continue(const UpdatePlan& before);

  // Between two steps, of a plan that is allocated: to be kept together with the slots.
  PlanState state() const;
  // Bytes that its vectors take, as far as they are of whole tensors; the rest is small.
  int64_t copied_bytes() const;
  // Puts back what state() of a plan with the same spec and layout has given; the slots are put
  // back by the store. The norm of the parameters is taken anew, see NeedsMeasure(). This one is
  // allocated. INVALID_ARGUMENT, with nothing changed, names what is missing, is not known, has
  // another type or length, or is no step.
  absl::Status Restore(const PlanState& state);
  // Whether all numbers of state() are finite.
  bool StateIsFinite() const;
  // The largest factor that a group multiplies the schedule's rate with.
  double largest_rate_factor() const;
  // The next step is the run's step 0: a copy of a run counts for itself. What began before it goes
  // on as it is, and has a first step below 0.
  void CountFromZero();

  // `input.step`: of the run. `by_spans`: rows are missing.
  void BeginStep(const StepInput& input, bool by_spans = false);

  // Two where norms over several tensors come between the bounds of a gradient and what the
  // optimizer makes of it; in the second one, `gradient` is not read.
  int transform_passes() const { return transform_passes_; }
  int64_t transformed_tensors() const { return static_cast<int64_t>(works_.size()); }
  // The first element of such a tensor.
  int64_t transformed_begin(int64_t index) const;
  // `gradient` and `parameters` read from there on.
  void TransformTensor(int64_t index, GradientReader* gradient, GradientReader* parameters);
  void EndTransforms();

  // `gradient` reads from the block's first element on.
  int sum_passes() const { return clip_passes_ + rule_passes_; }
  void SumBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient);
  void EndSums();

  // `encoded`, if there is one, is told as far as the block is written.
  void UpdateBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                   EncodedBlocks* encoded = nullptr);

  // Whether the tensor to which `element` belongs stays as it is where there is no gradient.
  bool IsLazy(int64_t element) const;
  // Whether the norm of the parameters is not known from the steps before.
  bool NeedsMeasure() const { return !parameters_measured_; }
  void MeasureBlock(const ParameterStore::BlockUpdate& block);
  // As SumBlock() and UpdateBlock(), in place, for what `gradient` has of the block.
  void SumSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient);
  void UpdateSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient);

  // Ends the step: the norms of the gradient, of the update and of all parameters that are ever
  // updated.
  TileNorms EndStep();

 private:
  // A run of elements of one tensor within one tile.
  struct Piece {
    int64_t begin;
    int32_t size;
    uint32_t tensor;  // Of the layout.
  };
  // What belongs to an optimizer while the plan is in force.
  struct Group {
    bool updates() const { return spec.optimizer != nullptr && tensors > 0; }
    // Whether tiles are to be bounded; tensors that are transformed have been so before.
    bool clips_tiles() const { return spec.clip.any() && !transforms; }

    ParameterGroup spec;
    std::vector<size_t> slots;       // Where its slots are among the plan's.
    std::vector<double> kept;        // See Optimizer::scalars().
    std::vector<float> clip_factor;  // Of each tensor's gradient, in this step.
    std::vector<double> sums;        // Of each tensor, in this pass.
    size_t tensors = 0;
    bool transforms = false;  // Its optimizer has transforms.
    StepInput input;          // Of this step.
    int64_t first_step = 0;   // Of the run, when it began.
  };

  struct Clipped;
  class BlockTile;

  UpdatePlan(const Layout& layout, ParameterGroups groups, int64_t block_elements, int threads);
  int64_t slot_bytes() const;
  void CutPieces(const Layout& layout, int64_t block_elements);
  void CollectSlots();
  void CollectTransforms(const Layout& layout, int threads);
  // Whether all of a group's tensors can go on with what their transforms kept in `before`.
  bool TransformsContinue(const UpdatePlan& before, size_t group) const;
  // Whether the tensor's optimizer has that slot.
  bool Uses(size_t tensor, size_t slot) const;
  // Whether the tensor has a slot of that name with a meaning.
  bool HasSlot(size_t tensor, const std::string& name) const;
  // Whether the slot is what somebody reads instead of the parameters: it equals them where the
  // optimizer does not have it.
  bool Mirrors(size_t slot) const;
  SlotVector SlotVectorOf(size_t slot, const UpdatePlan* before) const;
  // The group that goes on as `group` of the plan `other`, which comes after this one: all of its
  // tensors were in one group, whose optimizer had all of the slots but those that may join, and
  // kept the same numbers. Null if there is none: averages that began at different steps would be
  // corrected as if they had begun together.
  const Group* GroupLike(const UpdatePlan& other, size_t group) const;
  // Calls visit(name, values, size, stride) for every entry of the state, as it lies in `plan`.
  template <typename Plan, typename Visit>
  static void VisitState(Plan* plan, const Visit& visit);
  absl::Status CheckState(const PlanState& state) const;
  template <typename Visit>
  void ForEachPiece(const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                    const Visit& visit) const;
  template <typename Visit>
  void ForEachSpan(const ParameterStore::BlockUpdate& block, SpanReader* gradient,
                   const Visit& visit) const;
  void SumTile(size_t piece, const Tile& tile);
  // Updates a tile of the group and the slots that belong to others.
  void UpdateTile(const ParameterStore::BlockUpdate& block, size_t piece, const Tile& tile,
                  const UnalignedFloat* raw, TileNorms* norms) const;
  const Group& GroupOf(size_t piece) const {
    return groups_[group_of_tensor_[pieces_[piece].tensor]];
  }
  // How many sums the group takes in the present pass: for its bounds, then for its optimizer.
  size_t SumsOf(const Group& group) const;
  // Whether a tensor of the block that begins there takes any.
  bool NeedsSums(int64_t block_begin) const;
  // From the squared norms of the group's tensors.
  static void SetClipFactors(const double* squares, Group* group);
  // Copies the slots that the tile's optimizer does not write from where they were.
  void CopyOtherSlots(const Group& group, const ParameterStore::BlockUpdate& block,
                      const Tile& tile) const;

  const int64_t block_elements_;
  const int64_t elements_;
  std::vector<Group> groups_;
  std::vector<size_t> group_of_tensor_;
  std::vector<size_t> tensor_in_group_;
  std::vector<int64_t> tensor_begin_;  // And the end of the last one.
  std::vector<std::string> slots_;     // Names of all groups' slots, each once.
  int training_slot_ = -1;
  std::vector<Piece> pieces_;        // In the order of the elements.
  std::vector<size_t> first_piece_;  // Of each block, and the number of all pieces.
  std::vector<TileNorms> piece_norms_;
  // When it is updated by spans: of each piece, with how much `parameters` has grown; only of the
  // blocks in which there is something.
  std::vector<TileNorms> span_norms_;
  std::vector<char> span_blocks_;     // Not of bool: threads write neighbours.
  bool by_spans_ = false;             // This step.
  double parameters_squared_ = 0;     // After the last step.
  bool parameters_measured_ = false;  // That is known.
  // For each tensor: where its work is among works_, or none.
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();
  struct Work {
    size_t tensor;  // Of the layout.
    std::string tensor_name;
    TensorWork work;
  };
  std::vector<size_t> work_of_tensor_;
  std::vector<Work> works_;
  std::unique_ptr<ScratchPool> scratch_;  // For works_, where there are any.
  int transform_passes_ = 0;
  int transform_pass_ = 0;  // Of this step.
  int64_t next_step_ = 0;   // Of the run.
  int clip_passes_ = 0;     // 0 or 1, and so is the next one.
  int rule_passes_ = 0;
  int pass_ = 0;                    // Of this step.
  size_t most_sums_ = 0;            // Of any group in any pass.
  std::vector<double> piece_sums_;  // most_sums_ for each piece.
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_UPDATE_PLAN_H_
