#ifndef GRADD_CORE_SYNC_SHARED_GRADIENT_H_
#define GRADD_CORE_SYNC_SHARED_GRADIENT_H_

#include "absl/status/status.h"
#include "core/base/executor.h"
#include "core/base/shared_region.h"
#include "core/store/block.h"
#include "core/sync/staged_push.h"

namespace gradd {

// Stages the whole gradient of `push` from the start of `region`, which has room for it. The worker
// can write there at any time, so what is checked and applied is a copy, in blocks of `blocks`; the
// region is read once, on all threads. INVALID_ARGUMENT as from StagedPush::Add(); the push is
// then good for nothing.
absl::Status StageSharedGradient(const SharedRegion& region, BlockPool* blocks, Executor* threads,
                                 StagedPush* push);

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_SHARED_GRADIENT_H_
