#ifndef GRADD_CORE_BASE_THREAD_POOL_H_
#define GRADD_CORE_BASE_THREAD_POOL_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "core/base/mutex.h"

namespace gradd {

// The threads that apply steps; one pool serves all runs. Thread safe.
//
// Why not Eigen's pool: when its queue is full it runs a task in the thread that schedules
// it. Here tasks are scheduled with locks held, so that would be a deadlock.
class ThreadPool {
 public:
  // `threads` >= 1.
  explicit ThreadPool(int threads);
  // Waits until everything that was scheduled is done.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(threads_.size()); }

  // Runs `task` on a thread of the pool, never in the caller. Tasks begin in the order in
  // which they were scheduled.
  void Schedule(std::function<void()> task);

  // Calls task(i) for every i in [0, count), on the pool's threads and the caller's, and
  // returns when all are done. The caller works too and waits only for calls that another
  // thread has begun, so this may be used from within the pool without deadlock. `task` must
  // not throw: there is nobody to catch it.
  void ParallelFor(int64_t count, const std::function<void(int64_t)>& task);

 private:
  void Work();

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_THREAD_POOL_H_
