#ifndef GRADD_CORE_OPTIM_UPDATE_PLAN_H_
#define GRADD_CORE_OPTIM_UPDATE_PLAN_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/optim/kept_state.h"
#include "core/optim/optimizer.h"
#include "core/optim/parameter_groups.h"
#include "core/optim/partition.h"
#include "core/optim/tile_loop.h"
#include "core/store/encoded_block.h"
#include "core/store/gradient_reader.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"
#include "core/store/slot.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// How the vectors of a run are updated: which optimizer works on which tensor, with which slots. It
// is three things, which this puts together: how the vectors are cut and what belongs to whom
// (Partition), what is kept from step to step besides the slots (KeptState), and the passes of a
// step (TileLoop).
//
// A step: BeginStep(); transform_passes() times TransformTensor() for each of
// transformed_tensors() (tensors, and parts of tensors whose norm is needed first), then
// EndTransforms(); sum_passes() times SumBlock() for every block, then
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

  // How its vectors are cut.
  const Partition& partition() const { return partition_; }
  // Whether the momentum or beta1 of all its optimizers follows StepInput::momentum.
  bool follows_momentum() const { return partition_.follows_momentum(); }
  // The slots that it needs, and what of them starts anew when it takes the place of `before`;
  // null: it is the first one.
  SlotVectors slots(const UpdatePlan* before) const {
    return kept_.slots(before == nullptr ? nullptr : &before->kept_);
  }
  // Bytes of all slots, and of what is kept for whole tensors.
  int64_t state_bytes() const { return slot_bytes() + kept_bytes(); }
  // Those that Allocate() takes: to keep, and to work in while a step is applied.
  int64_t kept_bytes() const { return kept_.bytes(); }
  int64_t scratch_bytes() const { return loop_.scratch_bytes(); }
  // Takes the memory that it needs besides the slots: for what it keeps, and to work in, so that no
  // step allocates any. Throws std::bad_alloc if there is none; to be called again then. When all
  // is there it does nothing.
  void Allocate();

  // Takes over what `before` has kept, where that means the same here. Otherwise an optimizer
  // begins with its first step. Both are allocated.
  void Continue(const UpdatePlan& before) { kept_.Continue(before.kept_); }

  // Between two steps, of a plan that is allocated: to be kept together with the slots.
  PlanState state() const { return kept_.state(); }
  // Bytes that its vectors take, as far as they are of whole tensors; the rest is small.
  int64_t copied_bytes() const { return kept_.copied_bytes(); }
  // Puts back what state() of a plan with the same spec and layout has given; the slots are put
  // back by the store. The norm of the parameters is taken anew, see NeedsMeasure(). This one is
  // allocated. INVALID_ARGUMENT, with nothing changed, names what is missing, is not known, has
  // another type or length, or is no step.
  absl::Status Restore(const PlanState& state);
  // Whether all numbers of state() are finite.
  bool StateIsFinite() const { return kept_.IsFinite(); }
  // The largest factor that a group multiplies the schedule's rate with.
  double largest_rate_factor() const { return partition_.largest_rate_factor(); }
  // The next step is the run's step 0: a copy of a run counts for itself. What began before it goes
  // on as it is, and has a first step below 0.
  void CountFromZero() { kept_.CountFromZero(); }

  // `input.step`: of the run. `by_spans`: rows are missing.
  void BeginStep(const StepInput& input, bool by_spans = false) {
    loop_.BeginStep(input, by_spans);
  }

  // Two where norms over several tensors come between the bounds of a gradient and what the
  // optimizer makes of it; in the second one, `gradient` is not read.
  int transform_passes() const { return loop_.transform_passes(); }
  int64_t transformed_tensors() const { return loop_.transformed_tensors(); }
  // The first element of such a tensor or part.
  int64_t transformed_begin(int64_t index) const { return loop_.transformed_begin(index); }
  // `gradient` and `parameters` read from there on.
  void TransformTensor(int64_t index, GradientReader* gradient, GradientReader* parameters) {
    loop_.TransformTensor(index, gradient, parameters);
  }
  void EndTransforms() { loop_.EndTransforms(); }

  // `gradient` reads from the block's first element on.
  int sum_passes() const { return loop_.sum_passes(); }
  void SumBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient) {
    loop_.SumBlock(block, gradient);
  }
  void EndSums() { loop_.EndSums(); }

  // `encoded`, if there is one, is told as far as the block is written.
  void UpdateBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                   EncodedBlocks* encoded = nullptr) {
    loop_.UpdateBlock(block, gradient, encoded);
  }

  // Whether the tensor to which `element` belongs stays as it is where there is no gradient.
  bool IsLazy(int64_t element) const { return loop_.IsLazy(element); }
  // Whether the norm of the parameters is not known from the steps before.
  bool NeedsMeasure() const { return loop_.NeedsMeasure(); }
  void MeasureBlock(const ParameterStore::BlockUpdate& block) { loop_.MeasureBlock(block); }
  // As SumBlock() and UpdateBlock(), in place, for what `gradient` has of the block.
  void SumSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient) {
    loop_.SumSpans(block, gradient);
  }
  void UpdateSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient) {
    loop_.UpdateSpans(block, gradient);
  }

  // Ends the step: the norms of the gradient, of the update and of all parameters that are ever
  // updated.
  TileNorms EndStep() { return loop_.EndStep(); }

 private:
  UpdatePlan(const Layout& layout, ParameterGroups groups, int64_t block_elements, int threads);
  int64_t slot_bytes() const;

  const Partition partition_;
  KeptState kept_;
  TileLoop loop_;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_UPDATE_PLAN_H_
