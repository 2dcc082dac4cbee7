#ifndef GRADD_CORE_BASE_THREAD_POOL_H_
#define GRADD_CORE_BASE_THREAD_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>

namespace gradd {

// The threads that apply steps; one pool serves all runs (Eigen's non-blocking pool).
// Thread safe. The destructor waits for everything that was scheduled.
class ThreadPool {
 public:
  // `threads` >= 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  void Schedule(std::function<void()> task);

  // Calls task(i) for every i in [0, count), on the pool's threads and the caller's, and
  // returns when all are done. The caller works too and waits only for calls that another
  // thread has begun, so this may be used from within the pool without deadlock.
  void ParallelFor(int64_t count, const std::function<void(int64_t)>& task);

 private:
  class Impl;
  const int threads_;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_THREAD_POOL_H_
