#include "core/optim/clip_factors.h"

#include <algorithm>
#include <cmath>

namespace gradd {

ClipFactors::ClipFactors(const Partition* partition, const KeptState* kept)
    : partition_(*partition),
      squares_(partition->tensors().size(), 0),
      factors_(partition->tensors().size(), 1) {
  CutParts(*kept);
}

void ClipFactors::CutParts(const KeptState& kept) {
  constexpr int64_t kPartElements = 1 << 20;
  const std::vector<Partition::Piece>& pieces = partition_.pieces();
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (!partition_.GroupOf(pieces[i]).norm_comes_first ||
        kept.work_of(pieces[i].tensor) != KeptState::kNone) {
      continue;
    }
    const Partition::Piece* const first = parts_.empty() ? nullptr : &pieces[parts_.back().first];
    const bool goes_on = first != nullptr && first->tensor == pieces[i].tensor &&
                         pieces[i].end() - first->begin <= kPartElements;
    if (!goes_on) parts_.push_back({i, i, {}});
    ++parts_.back().end;
  }
  for (Part& part : parts_) part.squares.resize(part.end - part.first);
}

void ClipFactors::BeginStep() { std::fill(squares_.begin(), squares_.end(), 0); }

int64_t ClipFactors::part_begin(size_t part) const {
  return partition_.pieces()[parts_[part].first].begin;
}

void ClipFactors::MeasurePart(size_t part, GradientReader* gradient) {
  Part& measured = parts_[part];
  for (size_t i = measured.first; i < measured.end; ++i) {
    const Partition::Piece& piece = partition_.pieces()[i];
    measured.squares[i - measured.first] =
        partition_.GroupOf(piece).spec.clip.SquaredNorm(gradient->Next(piece.size), piece.size);
  }
}

void ClipFactors::Set(bool comes_first) {
  if (comes_first) {
    for (const Part& part : parts_) {
      for (const double square : part.squares) {
        Add(partition_.pieces()[part.first].tensor, square);
      }
    }
  }
  for (const Partition::Scope& scope : partition_.norm_scopes()) {
    const bool has_any = std::any_of(scope.groups.begin(), scope.groups.end(), [&](size_t g) {
      const Partition::Group& group = partition_.groups()[g];
      return comes_first ? group.norm_comes_first : TakesTiles(group);
    });
    if (has_any) SetScope(scope);
  }
}

void ClipFactors::SetScope(const Partition::Scope& scope) {
  const auto clip = [this](size_t tensor) -> const GradientClip& {
    return partition_.GroupOf(tensor).spec.clip;
  };
  const auto of_tensor = [&](size_t tensor) {
    return ClipFactor(clip(tensor).tensor_norm, std::sqrt(squares_[tensor]));
  };
  double all = 0;
  for (const size_t tensor : scope.tensors) {
    all += of_tensor(tensor) * of_tensor(tensor) * squares_[tensor];
  }
  for (const size_t tensor : scope.tensors) {
    const double of_all = ClipFactor(clip(tensor).global_norm, std::sqrt(all));
    factors_[tensor] = static_cast<float>(of_tensor(tensor) * of_all);
  }
}

}  // namespace gradd
