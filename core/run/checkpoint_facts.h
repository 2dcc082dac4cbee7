#ifndef GRADD_CORE_RUN_CHECKPOINT_FACTS_H_
#define GRADD_CORE_RUN_CHECKPOINT_FACTS_H_

#include <cstdint>

#include "gradd/v1/run.pb.h"

namespace gradd {

// What of a run decides when it is to be written down as a whole. A plain value.
struct CheckpointFacts {
  int64_t events = 0;  // Number of the last one.
  int64_t step = 0;
  v1::RunState state = v1::RUN_STATE_RUNNING;  // As recorded; never HELD.
  v1::Checkpoints checkpoints;                 // Of the spec.
  bool journal = false;
  int64_t journal_max_bytes = 0;
  int64_t parameter_bytes = 0;
  bool deleted = false;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_CHECKPOINT_FACTS_H_
