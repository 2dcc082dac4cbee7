#ifndef GRADD_CORE_BASE_ALARMS_H_
#define GRADD_CORE_BASE_ALARMS_H_

#include <functional>
#include <map>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace gradd {

// What is to happen at a time that is known in advance and nearer than the next tick. Thread safe.
class Alarms {
 public:
  // `clock` outlives this.
  explicit Alarms(const Clock* clock) : clock_(*clock) {}
  Alarms(const Alarms&) = delete;
  Alarms& operator=(const Alarms&) = delete;

  // Has `wake` called at `at`, by Clock::Elapsed(), or a little later: without a lock, by whoever
  // calls Ring() or RingUntilStopped(), and so it should do no more than schedule something. May be
  // called with any lock held.
  void Set(absl::Duration at, std::function<void()> wake);

  // Calls those that are due.
  void Ring();
  // The same at the right times until Stop().
  void RingUntilStopped();
  void Stop();

 private:
  // Calls those that are due, without the lock.
  void RingDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock& clock_;
  Mutex mutex_;
  CondVar changed_;
  std::multimap<absl::Duration, std::function<void()>> alarms_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_ALARMS_H_
