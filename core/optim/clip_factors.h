#ifndef GRADD_CORE_OPTIM_CLIP_FACTORS_H_
#define GRADD_CORE_OPTIM_CLIP_FACTORS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/optim/kept_state.h"
#include "core/optim/partition.h"
#include "core/store/gradient_reader.h"

namespace gradd {

// By what the gradient of each tensor is multiplied so that its norms keep within the bounds of its
// group (GradientClip).
//
// A step: BeginStep(). Add() what is known of tensors whose norm comes first (see
// Partition::Group), and MeasurePart() for each of parts(), then Set(true). Add() the others'
// squares, summed over tiles, then Set(false).
//
// Thread safety: Add() and MeasurePart() may be called at the same time for different tensors resp.
// parts; everything else is exclusive.
class ClipFactors {
 public:
  // Both outlive this.
  ClipFactors(const Partition* partition, const KeptState* kept);

  // Whether the norm of the group's gradient is summed over tiles.
  static bool TakesTiles(const Partition::Group& group) {
    return group.clips_tiles() && group.spec.clip.by_norm() && !group.norm_comes_first;
  }

  void BeginStep();
  // To the squared norm of the tensor, each element within its own bound.
  void Add(size_t tensor, double square) { squares_[tensor] += square; }
  // Of the tensors whose norm `comes_first`, or of those that take tiles.
  void Set(bool comes_first);
  // 1 where there is no bound.
  float of(size_t tensor) const { return factors_[tensor]; }

  // Parts of tensors whose norm comes first and that nobody transforms, who could tell their norm.
  // In parts, so that threads share a large tensor.
  size_t parts() const { return parts_.size(); }
  // The first element of a part.
  int64_t part_begin(size_t part) const;
  // `gradient` reads from there on.
  void MeasurePart(size_t part, GradientReader* gradient);

 private:
  // Pieces of one tensor.
  struct Part {
    size_t first;
    size_t end;
    std::vector<double> squares;  // Of each.
  };

  void CutParts(const KeptState& kept);
  void SetScope(const Partition::Scope& scope);

  const Partition& partition_;
  std::vector<double> squares_;  // Of each tensor, in this step.
  std::vector<float> factors_;   // The same.
  std::vector<Part> parts_;      // In the order of the elements.
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_CLIP_FACTORS_H_
