#ifndef GRADD_CORE_STEP_WINDOW_FACTS_H_
#define GRADD_CORE_STEP_WINDOW_FACTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/state/v1/run_state.pb.h"

namespace gradd {

// What lies in a window, without the vector: what was folded since it was empty.
struct WindowFacts {
  // `step`: steps applied when the push becomes part of it.
  void Add(const state::v1::FoldedPush& fold, int64_t step);

  void Write(state::v1::WindowState* state) const;
  // Goes on from what Write() has given. INVALID_ARGUMENT, with nothing changed, names a number
  // that no window has.
  absl::Status Read(const state::v1::WindowState& state);

  int64_t pushes = 0;
  int64_t examples = 0;
  double loss = 0;        // Mean by example.
  int64_t staleness = 0;  // Greatest among the pushes, in steps.
  float largest = 0;      // Greatest magnitude among their elements.
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_WINDOW_FACTS_H_
