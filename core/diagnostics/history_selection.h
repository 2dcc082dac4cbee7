#ifndef GRADD_CORE_DIAGNOSTICS_HISTORY_SELECTION_H_
#define GRADD_CORE_DIAGNOSTICS_HISTORY_SELECTION_H_

#include <cstdint>

namespace gradd {

// Which points of a history are asked for.
struct HistorySelection {
  int64_t most = 0;       // At least 1, see ThinnedSequence::Select().
  uint64_t timeline = 0;  // 0: any.
  int64_t first_step = 0;

  template <typename Point>
  bool Contains(const Point& point) const {
    return (timeline == 0 || point.timeline == timeline) && point.step >= first_step;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_HISTORY_SELECTION_H_
