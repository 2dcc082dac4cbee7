#ifndef GRADD_CORE_DIAGNOSTICS_EVALUATION_HISTORY_H_
#define GRADD_CORE_DIAGNOSTICS_EVALUATION_HISTORY_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "core/diagnostics/history_selection.h"
#include "core/diagnostics/thinned_sequence.h"
#include "gradd/state/v1/history.pb.h"
#include "gradd/v1/history.pb.h"

namespace gradd {

// An evaluation as the history has it.
struct EvaluationPoint {
  uint64_t timeline = 1;
  int64_t step = 0;
  double time = 0;  // When it was reported, in seconds since 1970.
  double loss = 0;
  std::optional<double> accuracy;
};

// The evaluations of one run, over all its timelines: 4,096 of them at most, so 192 KiB, which are
// small enough to be in no budget. A value that outlives the server. Not thread safe.
class EvaluationHistory {
 public:
  // One was reported, on the newest timeline. The same as the newest one, but for the time, is that
  // one, reported again.
  void Add(const EvaluationPoint& point);

  // Fills in the evaluations that are asked for.
  void Fill(const HistorySelection& selection, v1::History* history) const;

  void Write(state::v1::EvaluationHistoryState* state) const;
  // Goes on from what Write() has given. INVALID_ARGUMENT says what no history has; this one is as
  // it was then.
  absl::Status Read(const state::v1::EvaluationHistoryState& state);

 private:
  ThinnedSequence<EvaluationPoint> points_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_EVALUATION_HISTORY_H_
