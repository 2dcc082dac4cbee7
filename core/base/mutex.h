#ifndef GRADD_CORE_BASE_MUTEX_H_
#define GRADD_CORE_BASE_MUTEX_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "core/base/check.h"

namespace gradd {

// std::mutex with the annotations that clang's -Wthread-safety checks, which knows whether the
// calling thread holds any. Unlike absl::Mutex as Debian builds it, ThreadSanitizer understands it.
class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() {
    GRADD_DCHECK(!HeldHere(), "the thread holds the mutex and would wait for itself");
    mutex_.lock();
    ++held;
    SetOwner(&held);
  }
  // False if somebody has it, at once. Not for the thread that has it itself.
  bool TryLock() ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true) {
    GRADD_DCHECK(!HeldHere(), "the thread holds the mutex");
    if (!mutex_.try_lock()) return false;
    ++held;
    SetOwner(&held);
    return true;
  }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    SetOwner(nullptr);
    --held;
    mutex_.unlock();
  }
  // Whether the calling thread holds one or more of all mutexes: it must not wait for others then
  // who may want one of them.
  static bool AnyHeld() { return held > 0; }
  // Tells the analysis that the caller holds the mutex where it cannot see so.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {
    GRADD_DCHECK(!kKnowsOwner || HeldHere(), "not held");
  }

 private:
  friend class CondVar;
  static inline thread_local int held = 0;  // By this thread.
  std::mutex mutex_;

  // Which thread has it, known by the address of its held: for the checks only.
#ifdef NDEBUG
  static constexpr bool kKnowsOwner = false;
  static bool HeldHere() { return false; }
  void SetOwner(const int* /*thread*/) {}
#else
  static constexpr bool kKnowsOwner = true;
  bool HeldHere() const { return owner_.load(std::memory_order_relaxed) == &held; }
  void SetOwner(const int* thread) { owner_.store(thread, std::memory_order_relaxed); }
  std::atomic<const int*> owner_{nullptr};
#endif
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

class CondVar {
 public:
  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    mutex->SetOwner(nullptr);
    condition_.wait(lock);
    mutex->SetOwner(&Mutex::held);
    lock.release();
  }
  // Returns false when `timeout` passed first.
  bool WaitFor(Mutex* mutex, absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    mutex->SetOwner(nullptr);
    const bool notified = condition_.wait_for(lock, absl::ToChronoMicroseconds(timeout)) ==
                          std::cv_status::no_timeout;
    mutex->SetOwner(&Mutex::held);
    lock.release();
    return notified;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_MUTEX_H_
