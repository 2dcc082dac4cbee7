#ifndef GRADD_CLIENT_SESSION_EXCHANGE_H_
#define GRADD_CLIENT_SESSION_EXCHANGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/push_loan.h"
#include "core/base/mutex.h"

namespace gradd {

// Where the threads of a session's user and the session's own thread meet. The user leaves orders
// here (push, leave, close), and waits; the session's thread takes them up and tells what became of
// them. Thread safe.
//
// Every order is answered: a push by its loan, which the session's thread completes or which is
// completed here with an error where no push is possible any more; a leave by Left() or Fail().
class SessionExchange {
 public:
  // Calls `wake` when there is something to take, once until TakeWoken(). `wake` is called with a
  // lock held and must only wake.
  explicit SessionExchange(std::function<void()> wake) : wake_(std::move(wake)) {}

  // ---- For the user's threads. ----

  // Waits for Opened() or Fail().
  absl::Status WaitUntilOpen();
  // Waits until no push is in flight, then orders this one, which somebody has to take: wakes
  // nobody. False, and the push's loan is given back with the error, after Fail(), or Leave() from
  // any thread.
  bool Push(PushOrder order);
  // Has the session's thread take what is ordered.
  void Wake();
  // Orders to take back the push in flight, if there is one.
  void AbortPush();
  // Orders to leave and waits for Left() or Fail().
  absl::Status Leave();
  // Has the session's thread look what there is to send.
  void Nudge();
  // Orders to end everything. To be called once, and nothing else after it.
  void Close();
  // Waits for `time` or until something changes. The failure, if the session has failed.
  absl::Status Pause(absl::Duration time);

  int64_t next_sequence() const;
  bool finished() const;
  int64_t reconnects() const;

  // ---- For the session's thread. ----

  struct Orders {
    std::optional<PushOrder> push;
    bool abort = false;  // The push in flight, this one included.
    bool leave = false;  // From the first time on.
    bool close = false;
    absl::Status failure;  // As told to Fail(): a push can have been ordered just before it.
  };
  Orders Take();
  // The same for the one whom `wake` has woken.
  Orders TakeWoken();
  // Whether Close() was called and has been taken.
  bool closed() const;

  // There is a session: with the first one the user may begin, all others are reconnects.
  void Opened(bool finished, int64_t next_sequence);
  // Of the next push, while there is none.
  void SetNextSequence(int64_t sequence);
  // Whether the run has reached its last step.
  void SetFinished(bool finished);
  // Completes the push in flight: `result` goes to the caller as soon as nobody holds `loan` any
  // more.
  void PushCompleted(std::shared_ptr<PushLoan> loan, absl::StatusOr<PushReport> result,
                     int64_t next_sequence);
  // The order to leave has been carried out, or could not be.
  void Left(absl::Status status);
  // Nothing can be done any more. Only the first call counts.
  void Fail(const absl::Status& why);

 private:
  void WakeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Orders TakeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void()> wake_;
  mutable Mutex mutex_;
  CondVar changed_;
  // Orders.
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;  // The session's thread, and has yet to take them.
  std::optional<PushOrder> push_ ABSL_GUARDED_BY(mutex_);
  bool abort_ ABSL_GUARDED_BY(mutex_) = false;
  bool leave_ ABSL_GUARDED_BY(mutex_) = false;
  bool close_ ABSL_GUARDED_BY(mutex_) = false;
  // What is known.
  bool push_in_flight_ ABSL_GUARDED_BY(mutex_) = false;  // From its order to its answer.
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> left_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  int64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t reconnects_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_SESSION_EXCHANGE_H_
