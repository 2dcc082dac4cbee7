#ifndef GRADD_CORE_DIAGNOSTICS_LOSS_PHASE_H_
#define GRADD_CORE_DIAGNOSTICS_LOSS_PHASE_H_

#include <cstddef>
#include <deque>

#include "absl/status/status.h"
#include "gradd/state/v1/diagnostics.pb.h"
#include "gradd/v1/history.pb.h"

namespace gradd {

// Says whether the loss of a run falls, from means over blocks of DivergenceDetector::kBlockSteps
// steps: those of a few steps are noisy and depend on one another, so that a test of single losses
// finds a slope where there is none.
//
// A line is fitted to the last kBlocks means by least squares. The loss falls where Student's t of
// its slope is below -kSlopeT and the line ends more than 2 % below its beginning. Once there are
// enough blocks, a phase is left when two blocks in a row are not of it.
//
// A value: the same means give the same answer. Not thread safe.
class LossPhase {
 public:
  static constexpr size_t kBlocks = 10;
  static constexpr double kSlopeT = 6;
  static constexpr double kLeastFall = 0.02;

  // The mean loss of the next block. Finite.
  void AddBlock(double mean);

  // STARTING before there are kBlocks, DESCENDING or LEVEL.
  v1::Phase phase() const { return phase_; }

  void Write(state::v1::PhaseState* state) const;
  // Goes on from what Write() has given, or from an empty state. INVALID_ARGUMENT, with nothing
  // changed, names a number that cannot be.
  absl::Status Read(const state::v1::PhaseState& state);

 private:
  std::deque<double> blocks_;  // The last kBlocks.
  v1::Phase phase_ = v1::PHASE_STARTING;
  bool left_once_ = false;  // The last block was not of phase_.
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_LOSS_PHASE_H_
