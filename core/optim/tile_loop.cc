#include "core/optim/tile_loop.h"

#include <algorithm>
#include <cmath>
#include <cstring>

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
    group.spec.clip.Apply(loop.clip_factor_[tensor], tile.gradient, tile.size, gradient);
    tile.gradient = gradient;
  }
  Tile tile;
  alignas(64) float gradient[kTileElements];
};

TileLoop::TileLoop(const Partition* partition, KeptState* kept, int threads)
    : partition_(*partition), kept_(*kept), norms_(partition) {
  CountPasses(threads);
  const size_t tensors = partition_.tensors().size();
  inputs_.resize(partition_.groups().size());
  piece_sums_.resize(sum_passes() == 0 ? 0 : partition_.pieces().size() * most_sums_);
  tensor_sums_.resize(tensors * most_sums_);
  gathered_.resize(tensors * most_sums_);
  clip_factor_.assign(tensors, 1);
}

void TileLoop::CountPasses(int threads) {
  for (const Partition::Group& group : partition_.groups()) {
    if (!group.updates()) continue;
    const int sums = group.spec.optimizer->sums();
    if (sums > 0) rule_passes_ = 1;
    if (group.clips_tiles() && group.spec.clip.by_norm()) clip_passes_ = 1;
    most_sums_ = std::max(most_sums_, static_cast<size_t>(sums));
  }
  int64_t scratch_bytes = 0;
  for (const KeptState::Work& work : kept_.works()) {
    scratch_bytes = std::max(scratch_bytes, work.work.scratch_bytes());
    transform_passes_ = std::max(transform_passes_, work.work.waits_for_factor() ? 2 : 1);
  }
  if (kept_.works().empty()) return;
  scratch_ = std::make_unique<ScratchPool>(std::min<int64_t>(threads, transformed_tensors()),
                                           scratch_bytes);
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
      inputs_[g].step = input.step - kept_.first_step(scope.leader);
      const double rate = spec.warms_up ? input.learning_rate
                                        : input.rate_without_warm_up.value_or(input.learning_rate);
      inputs_[g].learning_rate = rate * spec.learning_rate_factor;
      spec.optimizer->BeginStep(inputs_[g], kept_.scalars(g));
    }
  }
  kept_.AgreeOnScalars();
  kept_.set_next_step(input.step + 1);
  transform_pass_ = 0;
  sum_pass_ = 0;
}

int64_t TileLoop::transformed_begin(int64_t index) const {
  return partition_.tensors()[kept_.works()[static_cast<size_t>(index)].tensor].begin;
}

void TileLoop::TransformTensor(int64_t index, GradientReader* gradient,
                               GradientReader* parameters) {
  KeptState::Work& work = kept_.works()[static_cast<size_t>(index)];
  const bool again = transform_pass_ > 0;
  if (again && !work.work.waits_for_factor()) return;
  const ScratchPool::Loan loan(scratch_.get());
  const TensorWork::Room room(work.work, loan.memory());
  const Partition::Tensor& tensor = partition_.tensors()[work.tensor];
  const int64_t size = tensor.end - tensor.begin;
  const auto read = [size](GradientReader* from, float* to) {
    for (int64_t at = 0; at < size; at += kTileElements) {
      const int64_t count = std::min(kTileElements, size - at);
      std::memcpy(to + at, from->Next(count), static_cast<size_t>(count) * sizeof(float));
    }
  };
  if (work.work.needs_parameters()) read(parameters, room.parameters);
  if (again) {
    work.work.Finish(inputs_[tensor.group], clip_factor_[work.tensor], room);
  } else {
    read(gradient, room.gradient);
    work.work.Transform(inputs_[tensor.group], room);
  }
}

void TileLoop::EndTransforms() {
  if (++transform_pass_ == transform_passes_) return;
  for (const KeptState::Work& work : kept_.works()) {
    if (work.work.waits_for_factor()) SumOf(work.tensor, 0) = work.work.squared_norm();
  }
  for (const Partition::Scope& scope : partition_.scopes()) {
    const Partition::Group& group = partition_.groups()[scope.leader];
    if (group.transforms && group.spec.clip.by_norm()) SetClipFactors(scope);
  }
}

size_t TileLoop::SumsOf(const Partition::Group& group) const {
  if (group.spec.optimizer == nullptr) return 0;
  if (sum_pass_ < clip_passes_) return group.clips_tiles() && group.spec.clip.by_norm() ? 1 : 0;
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
  std::fill(tensor_sums_.begin(), tensor_sums_.end(), 0);
  for (size_t i = 0; i < partition_.pieces().size(); ++i) {
    const size_t tensor = partition_.pieces()[i].tensor;
    const size_t count = SumsOf(partition_.GroupOf(tensor));
    for (size_t k = 0; k < count; ++k) SumOf(tensor, k) += piece_sums_[i * most_sums_ + k];
  }
  for (const Partition::Scope& scope : partition_.scopes()) {
    if (SumsOf(partition_.groups()[scope.leader]) == 0) continue;
    sum_pass_ < clip_passes_ ? SetClipFactors(scope) : EndRuleSums(scope);
  }
  kept_.AgreeOnScalars();
  std::fill(piece_sums_.begin(), piece_sums_.end(), 0);
  ++sum_pass_;
}

void TileLoop::EndRuleSums(const Partition::Scope& scope) {
  const auto gather = [this](const std::vector<size_t>& tensors, size_t count) {
    for (size_t i = 0; i < tensors.size(); ++i) {
      for (size_t k = 0; k < count; ++k) gathered_[i * count + k] = SumOf(tensors[i], k);
    }
    return absl::Span<const double>(gathered_.data(), tensors.size() * count);
  };
  for (const size_t g : scope.groups) {
    const Partition::Group& group = partition_.groups()[g];
    group.spec.optimizer->EndSums(gather(group.tensors, SumsOf(group)), kept_.scalars(g));
  }
}

void TileLoop::SetClipFactors(const Partition::Scope& scope) {
  const auto of_tensor = [this](size_t tensor) {
    return ClipFactor(partition_.GroupOf(tensor).spec.clip.tensor_norm,
                      std::sqrt(SumOf(tensor, 0)));
  };
  double all = 0;
  for (const size_t tensor : scope.tensors) {
    all += of_tensor(tensor) * of_tensor(tensor) * SumOf(tensor, 0);
  }
  const double bound = partition_.groups()[scope.leader].spec.clip.global_norm;
  const double of_all = ClipFactor(bound, std::sqrt(all));
  for (const size_t tensor : scope.tensors) {
    clip_factor_[tensor] = static_cast<float>(of_tensor(tensor) * of_all);
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
