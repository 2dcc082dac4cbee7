#ifndef GRADD_CORE_OPTIM_STEP_NORMS_H_
#define GRADD_CORE_OPTIM_STEP_NORMS_H_

#include <cstddef>
#include <vector>

#include "core/optim/optimizer.h"
#include "core/optim/partition.h"

namespace gradd {

// The norms of a step, summed by piece so that they do not depend on blocks and threads.
//
// A step by spans, in which only some elements are updated, knows by how much the norm of the
// parameters grows; what it was before is that of the last step, or is measured.
//
// Thread safety: what takes a piece may be called at the same time for different blocks;
// everything else is exclusive.
class StepNorms {
 public:
  // `partition` outlives this.
  explicit StepNorms(const Partition* partition)
      : partition_(*partition), of_piece_(partition->pieces().size()) {}

  void BeginStep(bool by_spans);

  // Those of all elements of the piece, to be written; by spans: `parameters` before the step, if
  // needs_measure().
  TileNorms& of_piece(size_t piece) { return of_piece_[piece]; }
  // By spans: the block's pieces get norms, which are 0 at first.
  void BeginSpans(size_t block);
  // By spans: adds to them. `norms.parameters`: by how much it has grown.
  void AddSpan(size_t piece, const TileNorms& norms) { of_spans_[piece] += norms; }

  // Whether the norm of the parameters is not known from the steps before.
  bool needs_measure() const { return !measured_; }
  // It is not: the parameters have been changed.
  void ForgetMeasure() { measured_ = false; }

  // Sums of all.
  TileNorms EndStep();

 private:
  TileNorms EndSpans();

  const Partition& partition_;
  std::vector<TileNorms> of_piece_;
  std::vector<TileNorms> of_spans_;    // Of each piece; only of the blocks that have spans.
  std::vector<char> block_has_spans_;  // Not of bool: threads write neighbours.
  bool by_spans_ = false;              // This step.
  double parameters_ = 0;              // Squared, after the last step.
  bool measured_ = false;              // That is known.
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_STEP_NORMS_H_
