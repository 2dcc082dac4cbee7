#include "core/optim/step_norms.h"

#include <algorithm>
#include <cmath>

namespace gradd {

void StepNorms::BeginStep(bool by_spans) {
  by_spans_ = by_spans;
  if (!by_spans) return;
  of_spans_.resize(of_piece_.size());
  block_has_spans_.assign(partition_.blocks(), 0);
}

void StepNorms::BeginSpans(size_t block) {
  block_has_spans_[block] = 1;
  for (size_t i = partition_.first_piece(block); i < partition_.first_piece(block + 1); ++i) {
    of_spans_[i] = {};
  }
}

TileNorms StepNorms::EndSpans() {
  if (!measured_) {
    TileNorms before;
    for (const TileNorms& norms : of_piece_) before += norms;
    parameters_ = before.parameters;
  }
  TileNorms sum;
  for (size_t block = 0; block < block_has_spans_.size(); ++block) {
    if (block_has_spans_[block] == 0) continue;
    for (size_t i = partition_.first_piece(block); i < partition_.first_piece(block + 1); ++i) {
      sum += of_spans_[i];
    }
  }
  sum.parameters += parameters_;
  // What is left of a much larger number is mostly its roundings: it is taken anew next time.
  constexpr double kMuch = 1e-3;
  measured_ = std::isfinite(sum.parameters) && sum.parameters >= kMuch * parameters_;
  if (sum.parameters < 0) sum.parameters = 0;
  return sum;
}

TileNorms StepNorms::EndStep() {
  TileNorms sum;
  if (by_spans_) {
    sum = EndSpans();
  } else {
    for (const TileNorms& norms : of_piece_) sum += norms;
    measured_ = std::isfinite(sum.parameters);
  }
  parameters_ = sum.parameters;
  return sum;
}

}  // namespace gradd
