#ifndef GRADD_CORE_MEMBERS_WORKER_BLOBS_H_
#define GRADD_CORE_MEMBERS_WORKER_BLOBS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "gradd/state/v1/members.pb.h"

namespace gradd {

// What workers have left with their pushes to find it again: see WorkerBlob in
// gradd/v1/training_service.proto. The newest of each. Not thread safe.
class WorkerBlobs {
 public:
  // Most bytes of one.
  static constexpr int64_t kMostBytes = int64_t{64} << 10;

  struct Blob {
    // Of the push that it came with.
    uint64_t timeline = 0;
    int64_t sequence = 0;
    std::string data;
  };

  // In place of what the worker left before; an empty one changes nothing.
  void Keep(const std::string& worker, uint64_t timeline, int64_t sequence, std::string data);
  void Drop(const std::string& worker);

  // Null if the worker has left nothing.
  const Blob* Find(const std::string& worker) const;
  // Of all of them.
  int64_t bytes() const { return bytes_; }

  void Write(state::v1::MembersState* state) const;
  // Goes on from what Write() has given. INVALID_ARGUMENT names the worker and what is wrong.
  absl::Status Read(const state::v1::MembersState& state);

 private:
  std::map<std::string, Blob> blobs_;  // By worker.
  int64_t bytes_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_MEMBERS_WORKER_BLOBS_H_
