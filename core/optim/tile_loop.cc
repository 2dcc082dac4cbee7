#include "core/optim/tile_loop.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/types/span.h"
#include "core/base/norms.h"

namespace gradd {
namespace {

void CopyElements(const float* from, float* to, int64_t size) {
  if (from != to) std::memcpy(to, from, static_cast<size_t>(size) * sizeof(float));
}

}  // namespace

// A tile with the gradient that its optimizer gets to see.
struct TileLoop::Clipped {
  Clipped(const TileLoop& loop, const BlockTile& of_block) : tile(of_block.tile()) {
    const size_t tensor = loop.partition_.pieces()[of_block.piece()].tensor;
    const Partition::Group& group = loop.partition_.GroupOf(tensor);
    if (!group.clips_tiles()) return;
    group.spec.clip.Apply(loop.clips_.of(tensor), tile.gradient, tile.size, gradient);
    tile.gradient = gradient;
  }
  Tile tile;
  alignas(64) float gradient[kTileElements];
};

TileLoop::TileLoop(const Partition* partition, KeptState* kept, int threads)
    : partition_(*partition), kept_(*kept), clips_(partition, kept), norms_(partition) {
  CountPasses();
  if (!kept_.works().empty()) {
    int64_t bytes = 0;
    for (const KeptState::Work& work : kept_.works()) {
      bytes = std::max(bytes, work.work.scratch_bytes());
    }
    const auto works = static_cast<int64_t>(kept_.works().size());
    scratch_ = std::make_unique<ScratchPool>(std::min<int64_t>(threads, works), bytes);
  }
  const size_t tensors = partition_.tensors().size();
  inputs_.resize(partition_.groups().size());
  piece_sums_.resize(sum_passes() == 0 ? 0 : partition_.pieces().size() * most_sums_);
  tensor_sums_.resize(tensors * most_sums_);
  gathered_.resize(tensors * most_sums_);
}

void TileLoop::CountPasses() {
  for (const Partition::Group& group : partition_.groups()) {
    if (!group.updates()) continue;
    const int sums = group.spec.optimizer->sums();
    if (sums > 0) rule_passes_ = 1;
    if (ClipFactors::TakesTiles(group)) clip_passes_ = 1;
    most_sums_ = std::max(most_sums_, static_cast<size_t>(sums));
  }
  for (const KeptState::Work& work : kept_.works()) {
    transform_passes_ = std::max(transform_passes_, work.work.waits_for_factor() ? 2 : 1);
  }
}

void TileLoop::Allocate() {
  if (scratch_ != nullptr) scratch_->Allocate();
}

void TileLoop::BeginStep(const StepInput& input, bool by_spans) {
  norms_.BeginStep(by_spans);
  for (const Partition::Scope& scope : partition_.scopes()) {
    for (const size_t g : scope.groups) {
      const ParameterGroup& spec = partition_.groups()[g].spec;
      inputs_[g] = input;
      inputs_[g].step = input.step - kept_.first_step(g);
      const double rate = spec.warms_up ? input.learning_rate
                                        : input.rate_without_warm_up.value_or(input.learning_rate);
      inputs_[g].learning_rate = rate * spec.learning_rate_factor;
      inputs_[g].shared_rate = rate * scope.largest_factor;
      spec.optimizer->BeginStep(inputs_[g], kept_.scalars(g));
    }
  }
  kept_.AgreeOnScalars();
  kept_.set_next_step(input.step + 1);
  clips_.BeginStep();
  transform_pass_ = 0;
  sum_pass_ = 0;
}

int64_t TileLoop::transformed_begin(int64_t index) const {
  const auto at = static_cast<size_t>(index);
  const size_t works = kept_.works().size();
  return at < works ? partition_.tensors()[kept_.works()[at].tensor].begin
                    : clips_.part_begin(at - works);
}

void TileLoop::TransformTensor(int64_t index, GradientReader* gradient,
                               GradientReader* parameters) {
  const bool again = transform_pass_ > 0;
  const auto at = static_cast<size_t>(index);
  if (at >= kept_.works().size()) {
    if (!again) clips_.MeasurePart(at - kept_.works().size(), gradient);
    return;
  }
  KeptState::Work& work = kept_.works()[at];
  if (again && !work.work.waits_for_factor()) return;
  const ScratchPool::Loan loan(scratch_.get());
  const TensorWork::Room room(work.work, loan.memory());
  const Partition::Tensor& tensor = partition_.tensors()[work.tensor];
  const int64_t size = tensor.end - tensor.begin;
  const auto read = [size](GradientReader* from, float* to) {
    for (int64_t i = 0; i < size; i += kTileElements) {
      const int64_t count = std::min(kTileElements, size - i);
      std::memcpy(to + i, from->Next(count), static_cast<size_t>(count) * sizeof(float));
    }
  };
  if (work.work.needs_parameters()) read(parameters, room.parameters);
  if (again) {
    work.work.Finish(inputs_[tensor.group], clips_.of(work.tensor), room);
  } else {
    read(gradient, room.gradient);
    work.work.Transform(inputs_[tensor.group], room);
    const Partition::Group& group = partition_.groups()[tensor.group];
    if (!group.norm_comes_first) return;
    clips_.Add(work.tensor, work.work.waits_for_factor()
                                ? work.work.squared_norm()
                                : group.spec.clip.SquaredNorm(work.work.result(), size));
  }
}

void TileLoop::EndTransforms() {
  if (++transform_pass_ < transform_passes_) clips_.Set(/*comes_first=*/true);
}

size_t TileLoop::SumsOf(const Partition::Group& group) const {
  if (group.spec.optimizer == nullptr) return 0;
  if (sum_pass_ < clip_passes_) return ClipFactors::TakesTiles(group) ? 1 : 0;
  return static_cast<size_t>(group.spec.optimizer->sums());
}

bool TileLoop::NeedsSums(size_t block) const {
  const auto piece = [this](size_t i) {
    return partition_.pieces().begin() + static_cast<int64_t>(i);
  };
  return std::any_of(
      piece(partition_.first_piece(block)), piece(partition_.first_piece(block + 1)),
      [this](const Partition::Piece& each) { return SumsOf(partition_.GroupOf(each)) > 0; });
}

void TileLoop::SumTile(const BlockTile& of_block) {
  const Partition::Group& group = partition_.GroupOf(partition_.pieces()[of_block.piece()]);
  if (SumsOf(group) == 0) return;
  double* const sums = &piece_sums_[of_block.piece() * most_sums_];
  if (sum_pass_ < clip_passes_) {
    *sums += group.spec.clip.SquaredNorm(of_block.tile().gradient, of_block.tile().size);
  } else {
    const Clipped clipped(*this, of_block);
    group.spec.optimizer->SumTile(clipped.tile, sums);
  }
}

void TileLoop::SumBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient) {
  if (!NeedsSums(partition_.BlockAt(block.begin))) return;
  ForEachPiece(partition_, kept_, block, gradient,
               [this](const BlockTile& tile) { SumTile(tile); });
}

void TileLoop::SumSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient) {
  if (!NeedsSums(partition_.BlockAt(block.begin))) return;
  ForEachSpan(partition_, kept_, block, gradient, [this](const BlockTile& tile) { SumTile(tile); });
}

void TileLoop::EndSums() {
  const bool clips = sum_pass_ < clip_passes_;
  std::fill(tensor_sums_.begin(), tensor_sums_.end(), 0);
  for (size_t i = 0; i < partition_.pieces().size(); ++i) {
    const size_t tensor = partition_.pieces()[i].tensor;
    const size_t count = SumsOf(partition_.GroupOf(tensor));
    const double* const sums = &piece_sums_[i * most_sums_];
    if (clips) {
      if (count > 0) clips_.Add(tensor, *sums);
    } else {
      for (size_t k = 0; k < count; ++k) SumOf(tensor, k) += sums[k];
    }
  }
  if (clips) {
    clips_.Set(/*comes_first=*/false);
  } else {
    for (const Partition::Scope& scope : partition_.scopes()) {
      if (SumsOf(partition_.groups()[scope.leader]) > 0) EndRuleSums(scope);
    }
    kept_.AgreeOnScalars();
  }
  std::fill(piece_sums_.begin(), piece_sums_.end(), 0);
  ++sum_pass_;
}

bool TileLoop::Counts(size_t tensor, const Partition::Scope& scope) const {
  // What does not move has no part in how far the others move.
  return partition_.GroupOf(tensor).spec.learning_rate_factor > 0 || scope.largest_factor == 0;
}

void TileLoop::EndRuleSums(const Partition::Scope& scope) {
  for (const size_t g : scope.groups) {
    const Partition::Group& group = partition_.groups()[g];
    Optimizer& optimizer = *group.spec.optimizer;
    const auto count = static_cast<size_t>(optimizer.sums());
    const bool apart = optimizer.sums_per_tensor();
    const std::vector<size_t>& tensors = apart ? group.tensors : scope.tensors;
    if (tensors.empty()) continue;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const bool counts = apart || Counts(tensors[i], scope);
      for (size_t k = 0; k < count; ++k) {
        gathered_[i * count + k] = counts ? SumOf(tensors[i], k) : 0;
      }
    }
    optimizer.EndSums({gathered_.data(), tensors.size() * count}, kept_.scalars(g));
  }
}

void TileLoop::UpdateTile(const ParameterStore::BlockUpdate& block, const BlockTile& of_block,
                          TileNorms* norms) const {
  const Tile& tile = of_block.tile();
  const Partition::Group& group = partition_.GroupOf(partition_.pieces()[of_block.piece()]);
  *norms = {};
  if (group.spec.optimizer == nullptr) {
    CopyElements(tile.parameters_in, tile.parameters_out, tile.size);
  } else {
    const Clipped clipped(*this, of_block);
    group.spec.optimizer->UpdateTile(clipped.tile, norms);
    if (clipped.tile.gradient != of_block.raw()) {
      norms->gradient = LongSquaredNorm(of_block.raw(), tile.size);
    }
  }
  CopyOtherSlots(group, block, tile);
}

void TileLoop::CopyOtherSlots(const Partition::Group& group,
                              const ParameterStore::BlockUpdate& block, const Tile& tile) const {
  const size_t slots = partition_.slots().size();
  if (group.slots.size() == slots) return;
  const int64_t at = tile.begin - block.begin;
  for (size_t slot = 0; slot < slots; ++slot) {
    if (block.slots_in[slot] == nullptr ||
        std::find(group.slots.begin(), group.slots.end(), slot) != group.slots.end()) {
      continue;
    }
    const float* const from =
        partition_.Mirrors(slot) ? tile.parameters_out : block.slots_in[slot] + at;
    CopyElements(from, block.slots_out[slot] + at, tile.size);
  }
}

void TileLoop::UpdateBlock(const ParameterStore::BlockUpdate& block, GradientReader* gradient,
                           EncodedBlocks* encoded) {
  ForEachPiece(partition_, kept_, block, gradient, [&](const BlockTile& tile) {
    UpdateTile(block, tile, &norms_.of_piece(tile.piece()));
    if (encoded != nullptr) encoded->UpTo(tile.tile().begin + tile.tile().size - block.begin);
  });
}

bool TileLoop::IsLazy(int64_t element) const {
  const size_t tensor = partition_.TensorAt(element);
  const Optimizer* const optimizer = partition_.GroupOf(tensor).spec.optimizer.get();
  return optimizer == nullptr || (optimizer->lazy() && kept_.work_of(tensor) == KeptState::kNone);
}

void TileLoop::MeasureBlock(const ParameterStore::BlockUpdate& block) {
  const size_t index = partition_.BlockAt(block.begin);
  for (size_t i = partition_.first_piece(index); i < partition_.first_piece(index + 1); ++i) {
    const Partition::Piece& piece = partition_.pieces()[i];
    norms_.of_piece(i) = {};
    if (partition_.GroupOf(piece).spec.optimizer == nullptr) continue;
    const float* const values = block.parameters_in + (piece.begin - block.begin);
    norms_.of_piece(i).parameters = LongSquaredNorm(values, piece.size);
  }
}

void TileLoop::UpdateSpans(const ParameterStore::BlockUpdate& block, SpanReader* gradient) {
  norms_.BeginSpans(partition_.BlockAt(block.begin));
  ForEachSpan(partition_, kept_, block, gradient, [&](const BlockTile& tile) {
    TileNorms norms;
    const double before = LongSquaredNorm(tile.tile().parameters_in, tile.tile().size);
    UpdateTile(block, tile, &norms);
    const Partition::Piece& piece = partition_.pieces()[tile.piece()];
    if (partition_.GroupOf(piece).spec.optimizer == nullptr) return;
    norms.parameters -= before;
    norms_.AddSpan(tile.piece(), norms);
  });
}

}  // namespace gradd
