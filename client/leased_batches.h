#ifndef GRADD_CLIENT_LEASED_BATCHES_H_
#define GRADD_CLIENT_LEASED_BATCHES_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The batches of the run's data set that a session has. The user's threads take them from here, in
// the order of their numbers; the session's thread asks the server for more, so many ahead, once
// the first was taken. What the server says of them when the connection is regained counts: what is
// not this worker's any more goes. Thread safe.
class LeasedBatches {
 public:
  // `ahead` is at least 0. Calls `wake` when there may be something to send; without a lock.
  LeasedBatches(int64_t ahead, std::function<void()> wake)
      : ahead_(ahead), wake_(std::move(wake)) {}

  // ---- For the user's threads. ----

  // See Session::NextBatches().
  absl::StatusOr<std::vector<int64_t>> Take(int64_t count, absl::Duration patience);
  // See Session::ReturnBatches().
  void Return(const std::vector<int64_t>& batches);

  // ---- For the session's thread. ----

  void StreamOpened(const v1::Welcome& welcome);
  void StreamEnded();
  void OnLease(const v1::BatchLease& lease);
  // A new timeline has begun: it ends all leases.
  void OnTimeline(uint64_t timeline);
  // A push of these was answered for good.
  void Pushed(const std::vector<int64_t>& batches);
  // A push of these was refused, since some are not this worker's any more: it lets go of them all.
  void Refused(const std::vector<int64_t>& batches);
  // A push was rolled back: the user computes nothing of what it has taken any more.
  void RolledBack();
  // Nobody gets any more.
  void Fail(const absl::Status& why);
  // What to send, on a stream that is open.
  std::vector<v1::TrainRequest> TakeRequests();

 private:
  void EndLeases(uint64_t timeline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t ahead_;
  const std::function<void()> wake_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;  // A stream.
  bool has_data_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t most_ ABSL_GUARDED_BY(mutex_) = 0;  // That a worker may have.
  uint64_t timeline_ ABSL_GUARDED_BY(mutex_) = 0;
  bool used_ ABSL_GUARDED_BY(mutex_) = false;  // Somebody has taken one, or tried to.
  int64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;  // The server, on this stream.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // It has said that there are no more.
  std::set<int64_t> ready_ ABSL_GUARDED_BY(mutex_);
  std::set<int64_t> taken_ ABSL_GUARDED_BY(mutex_);     // And not pushed.
  std::set<int64_t> returned_ ABSL_GUARDED_BY(mutex_);  // To be told to the server.
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

// Numbers as ranges: {4, 5, 7} is 4 + 2 and 7 + 1.
google::protobuf::RepeatedPtrField<v1::BatchRange> BatchRangesOf(
    const std::vector<int64_t>& batches);

}  // namespace gradd

#endif  // GRADD_CLIENT_LEASED_BATCHES_H_
