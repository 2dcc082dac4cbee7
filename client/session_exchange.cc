#include "client/session_exchange.h"

#include <utility>

namespace gradd {

void SessionExchange::WakeLocked() {
  if (woken_) return;
  woken_ = true;
  wake_();
}

absl::Status SessionExchange::WaitUntilOpen() {
  MutexLock lock(&mutex_);
  while (!open_ && failure_.ok()) changed_.Wait(&mutex_);
  return failure_;
}

void SessionExchange::Wake() {
  MutexLock lock(&mutex_);
  WakeLocked();
}

bool SessionExchange::Push(PushOrder order) {
  MutexLock lock(&mutex_);
  while (push_in_flight_ && failure_.ok() && !leave_) changed_.Wait(&mutex_);
  if (!failure_.ok() || leave_) {
    order.loan->result =
        failure_.ok() ? absl::FailedPreconditionError("the session has left") : failure_;
    return false;
  }
  push_in_flight_ = true;
  push_ = std::move(order);
  return true;
}

void SessionExchange::AbortPush() {
  MutexLock lock(&mutex_);
  if (!push_in_flight_) return;
  abort_ = true;
  WakeLocked();
}

absl::Status SessionExchange::Leave() {
  MutexLock lock(&mutex_);
  leave_ = true;
  changed_.NotifyAll();
  WakeLocked();
  while (!left_ && failure_.ok()) changed_.Wait(&mutex_);
  return failure_.ok() ? *left_ : failure_;
}

void SessionExchange::Nudge() {
  MutexLock lock(&mutex_);
  if (!close_) WakeLocked();
}

void SessionExchange::Close() {
  MutexLock lock(&mutex_);
  close_ = true;
  WakeLocked();
}

absl::Status SessionExchange::Pause(absl::Duration time) {
  MutexLock lock(&mutex_);
  if (failure_.ok()) changed_.WaitFor(&mutex_, time);
  return failure_;
}

int64_t SessionExchange::next_sequence() const {
  MutexLock lock(&mutex_);
  return next_sequence_;
}

bool SessionExchange::finished() const {
  MutexLock lock(&mutex_);
  return finished_;
}

int64_t SessionExchange::reconnects() const {
  MutexLock lock(&mutex_);
  return reconnects_;
}

SessionExchange::Orders SessionExchange::Take() {
  MutexLock lock(&mutex_);
  return TakeLocked();
}

SessionExchange::Orders SessionExchange::TakeWoken() {
  MutexLock lock(&mutex_);
  woken_ = false;
  return TakeLocked();
}

SessionExchange::Orders SessionExchange::TakeLocked() {
  return {std::exchange(push_, std::nullopt), std::exchange(abort_, false), leave_, close_,
          failure_};
}

bool SessionExchange::closed() const {
  MutexLock lock(&mutex_);
  return close_ && !woken_;
}

void SessionExchange::Opened(bool finished, int64_t next_sequence) {
  MutexLock lock(&mutex_);
  if (std::exchange(open_, true)) ++reconnects_;
  finished_ = finished;
  next_sequence_ = next_sequence;
  changed_.NotifyAll();
}

void SessionExchange::SetNextSequence(int64_t sequence) {
  MutexLock lock(&mutex_);
  next_sequence_ = sequence;
}

void SessionExchange::SetFinished(bool finished) {
  MutexLock lock(&mutex_);
  finished_ = finished;
}

void SessionExchange::PushCompleted(std::shared_ptr<PushLoan> loan,
                                    absl::StatusOr<PushReport> result, int64_t next_sequence) {
  loan->result = std::move(result);
  {
    // Before the caller is told, who may look, or push again, at once.
    MutexLock lock(&mutex_);
    next_sequence_ = next_sequence;
    push_in_flight_ = false;
    abort_ = false;  // Too late, and not for the next one.
    changed_.NotifyAll();
  }
  loan.reset();
}

void SessionExchange::Left(absl::Status status) {
  MutexLock lock(&mutex_);
  left_ = std::move(status);
  changed_.NotifyAll();
}

void SessionExchange::Fail(const absl::Status& why) {
  MutexLock lock(&mutex_);
  if (failure_.ok()) failure_ = why;
  changed_.NotifyAll();
}

}  // namespace gradd
