#ifndef GRADD_CORE_RUN_BLOB_ROOM_H_
#define GRADD_CORE_RUN_BLOB_ROOM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/base/memory_budget.h"
#include "core/run/run_record.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The memory of what workers leave with their pushes (WorkerBlobs), which is claimed before a push
// may leave some. Not thread safe.
class BlobRoom {
 public:
  // Both outlive this.
  BlobRoom(const RunRecord* record, MemoryBudget* budget)
      : record_(*record), claim_(budget->Take(MemoryUse::kState, 0)) {}

  // Most that all workers of a run may have left, also those that are lost: what a checkpoint's
  // header has room for.
  static constexpr int64_t kMostBytes = int64_t{48} << 20;
  // RESOURCE_EXHAUSTED if it would be more, with so many bytes that pushes bring in the place of
  // others.
  absl::Status CheckAll(int64_t coming, int64_t replaced) const;

  // Makes the claim what the record has, and so many bytes that pushes bring which are not in it
  // yet. RESOURCE_EXHAUSTED, with nothing changed, if there is no room.
  absl::Status Claim(int64_t coming);

  // What the worker left last goes into its welcome, with how much that may be.
  void Welcome(const std::string& worker, v1::Welcome* welcome) const;

 private:
  const RunRecord& record_;
  const std::shared_ptr<MemoryBudget::Claim> claim_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_BLOB_ROOM_H_
