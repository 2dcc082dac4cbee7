#ifndef GRADD_CORE_DIAGNOSTICS_STEP_HISTORY_H_
#define GRADD_CORE_DIAGNOSTICS_STEP_HISTORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/diagnostics/history_selection.h"
#include "core/diagnostics/thinned_sequence.h"
#include "gradd/state/v1/history.pb.h"
#include "gradd/v1/history.pb.h"

namespace gradd {

// A step as the history has it. Losses and norms may be infinite, or no numbers.
struct StepPoint {
  uint64_t timeline = 1;
  int64_t step = 0;
  double time = 0;  // When it was complete, in seconds since 1970.
  double loss = 0;
  double smoothed_loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  double update_norm = 0;
  double parameter_norm = 0;
  double examples_per_second = 0;
  v1::Phase phase = v1::PHASE_UNSPECIFIED;
};

// How the steps of one run came out, over all its timelines: 4,096 of them at most, so 352 KiB,
// which are small enough to be in no budget. A value that outlives the server. Not thread safe.
class StepHistory {
 public:
  // A step is complete, on the newest timeline.
  void Add(const StepPoint& point) { points_.Add(point); }

  // Fills in the steps that are asked for.
  void Fill(const HistorySelection& selection, v1::History* history) const;

  void Write(state::v1::StepHistoryState* state) const;
  // Goes on from what Write() has given. INVALID_ARGUMENT says what no history has; this one is as
  // it was then.
  absl::Status Read(const state::v1::StepHistoryState& state);

 private:
  ThinnedSequence<StepPoint> points_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_STEP_HISTORY_H_
