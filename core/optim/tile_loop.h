#ifndef GRADD_CORE_OPTIM_TILE_LOOP_H_
#define GRADD_CORE_OPTIM_TILE_LOOP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/base/unaligned_float.h"
#include "core/optim/block_tiles.h"
#include "core/optim/clip_factors.h"
#include "core/optim/kept_state.h"
#include "core/optim/optimizer.h"
#include "core/optim/partition.h"
#include "core/optim/scratch_pool.h"
#include "core/optim/step_norms.h"
#include "core/store/encoded_block.h"
#include "core/store/gradient_reader.h"
#include "core/store/parameter_store.h"

namespace gradd {

// The passes over a run's vectors that make a step: tensors are transformed, tiles are summed,
// tiles are updated. Everything in it lasts for one step, but for the norm of the parameters. How
// it is used, and from which threads, is said of UpdatePlan, which has the same functions.
class TileLoop {
 public:
  // Both outlive this. There will be memory for so many calls of TransformTensor() at a time as
  // there are `threads`; further ones wait.
  TileLoop(const Partition* partition, KeptState* kept, int threads);

  int64_t scratch_bytes() const { return scratch_ == nullptr ? 0 : scratch_->bytes(); }
  void Allocate();

  void BeginStep(const StepInput& input, bool by_spans);

  int transform_passes() const { return transform_passes_; }
  int64_t transformed_tensors() const {
    return static_cast<int64_t>(kept_.works().size() + clips_.parts());
  }
  int64_t transformed_begin(int64_t index) const;
  void TransformTensor(int64_t index, GradientReader* gradient, GradientReader* parameters);
  void EndTransforms();

  int sum_passes() const { return clip_passes_ + rule_passes_; }
  void SumBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient);
  void SumSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient);
  void EndSums();

  bool NeedsMeasure() const { return norms_.needs_measure(); }
  void ForgetMeasure() { norms_.ForgetMeasure(); }
  void MeasureBlock(const ParameterStore::BlockUpdate& block);

  void UpdateBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                   EncodedBlocks* encoded);
  bool IsLazy(int64_t element) const;
  void UpdateSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient);

  TileNorms EndStep() { return norms_.EndStep(); }

 private:
  struct Clipped;

  void CountPasses();
  // How many sums the group takes in the present pass over tiles: for its bounds, then for its
  // optimizer.
  size_t SumsOf(const Partition::Group& group) const;
  // Whether a tensor of the block takes any.
  bool NeedsSums(size_t block) const;
  void SumTile(const BlockTile& of_block);
  // Whether sums of the tensor count for the scope.
  bool Counts(size_t tensor, const Partition::Scope& scope) const;
  void EndRuleSums(const Partition::Scope& scope);
  // Updates a tile and the slots that belong to others.
  void UpdateTile(const ParameterStore::BlockUpdate& block, const BlockTile& of_block,
                  TileNorms* norms) const;
  // Copies the slots that the tile's optimizer does not write from where they were.
  void CopyOtherSlots(const Partition::Group& group, const ParameterStore::BlockUpdate& block,
                      const Tile& tile) const;
  // Sum k of a tensor in this pass.
  double& SumOf(size_t tensor, size_t k) { return tensor_sums_[tensor * most_sums_ + k]; }

  const Partition& partition_;
  KeptState& kept_;
  std::unique_ptr<ScratchPool> scratch_;  // For the works, where there are any.

  int transform_passes_ = 0;
  int clip_passes_ = 0;  // 0 or 1, and so is the next one.
  int rule_passes_ = 0;
  size_t most_sums_ = 1;  // Of any group in any pass.

  // Of this step.
  std::vector<StepInput> inputs_;    // Of each group.
  int transform_pass_ = 0;           // How many are over.
  int sum_pass_ = 0;                 // How many are over.
  std::vector<double> piece_sums_;   // most_sums_ for each piece, in this pass.
  std::vector<double> tensor_sums_;  // The same for each tensor.
  std::vector<double> gathered_;     // Room for those of a scope.
  ClipFactors clips_;
  StepNorms norms_;
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_TILE_LOOP_H_
