#ifndef GRADD_CORE_DURABILITY_LOG_COMPACTION_H_
#define GRADD_CORE_DURABILITY_LOG_COMPACTION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/durability/run_folder.h"

namespace gradd {

// Removes what nobody needs of a run's log, where the oldest checkpoint that is kept has all events
// up to `oldest`, and the newest one those up to `newest`: segments with nothing after the oldest
// one; and of those with nothing after the newest one all but the control events, which a recovery
// from an older checkpoint carries over. The segment that is being written stays as it is.
//
// Errors are those of LogReader and LogSegment; what could not be removed is found by the next
// call.
absl::Status CompactLog(const RunFolder& folder, int64_t oldest, int64_t newest);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_LOG_COMPACTION_H_
