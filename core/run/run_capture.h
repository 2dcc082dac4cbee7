#ifndef GRADD_CORE_RUN_RUN_CAPTURE_H_
#define GRADD_CORE_RUN_RUN_CAPTURE_H_

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "core/step/engine_vectors.h"
#include "gradd/state/v1/run_state.pb.h"

namespace gradd {

// A run as it was between two steps: all that it goes on from, on this server or another one.
// Immutable, so safe from any thread; while it is held, the run writes elsewhere.
struct RunCapture {
  state::v1::RunState state;  // With the layout.
  EngineVectors vectors;
};

// Gets what was asked for, or why it could not be had.
using CaptureReceiver =
    std::function<void(const absl::StatusOr<std::shared_ptr<const RunCapture>>&)>;

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_CAPTURE_H_
