#ifndef GRADD_CTL_INTERRUPT_H_
#define GRADD_CTL_INTERRUPT_H_

#include <functional>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace gradd::ctl {

// Ctrl-C as the commands see it: a flag that stays set, and a way to end what is in progress.
// Thread safe; not to be triggered from a signal handler, but from a thread that waits for the
// signal.
class Interrupt {
 public:
  void Trigger() {
    MutexLock lock(&mutex_);
    triggered_ = true;
    if (cancel_) cancel_();
    changed_.NotifyAll();
  }

  bool triggered() {
    MutexLock lock(&mutex_);
    return triggered_;
  }

  // Waits; returns early, and true, when triggered.
  bool WaitFor(absl::Duration duration) {
    const absl::Time end = absl::Now() + duration;
    MutexLock lock(&mutex_);
    while (!triggered_) {
      const absl::Duration left = end - absl::Now();
      if (left <= absl::ZeroDuration()) break;
      changed_.WaitFor(&mutex_, left);
    }
    return triggered_;
  }

  // While in scope, Trigger() calls `cancel`, at most once per call; at once if triggered before.
  // One scope at a time.
  class Scope {
   public:
    Scope(Interrupt* interrupt, std::function<void()> cancel) : interrupt_(interrupt) {
      MutexLock lock(&interrupt_->mutex_);
      if (interrupt_->triggered_) cancel();
      interrupt_->cancel_ = std::move(cancel);
    }
    ~Scope() {
      MutexLock lock(&interrupt_->mutex_);
      interrupt_->cancel_ = nullptr;
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Interrupt* const interrupt_;
  };

 private:
  Mutex mutex_;
  CondVar changed_;
  bool triggered_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> cancel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd::ctl

#endif  // GRADD_CTL_INTERRUPT_H_
