#ifndef GRADD_CORE_BASE_THREAD_POOL_H_
#define GRADD_CORE_BASE_THREAD_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "core/base/executor.h"

namespace gradd {

// Threads that apply steps and do whatever else takes long. Those who share them take turns: each
// run has a ThreadPool of its own, made with Share(), on the threads that all have in common. A
// turn is a task that was scheduled, until it ends or comes to the end of a piece of its work: a
// call of a ParallelFor, or Yield(). If others wait then, they go on first. So whoever has little
// to do waits for a piece of everybody else's work, not for all of it.
//
// Work waits without a place among the threads: `threads` pieces at most are worked on at a time,
// however many tasks have begun. A task that waits its turn keeps a thread of the system, of which
// there are therefore more, up to 256, while long tasks are cut short.
//
// Thread safe.
//
// Why not Eigen's pool: when its queue is full it runs a task in the thread that schedules
// it. Here tasks are scheduled with locks held, so that would be a deadlock.
class ThreadPool final : public Executor {
 public:
  // `threads` >= 1.
  explicit ThreadPool(int threads);
  // Waits until everything that was scheduled is done, by sharers too. That of a sharer returns at
  // once; what it scheduled is done all the same.
  ~ThreadPool() override;

  // What is scheduled when the threads are gone is done in the caller.
  std::unique_ptr<Executor> Share() const override;

  int threads() const override;

  void Schedule(std::function<void()> task) override;

  // On the pool's threads and the caller's. The caller waits only for calls that another thread has
  // begun, so this may be used from within the pool without deadlock.
  //
  // On a thread of the pool, others may have their turn before this returns: not while the caller
  // holds a Mutex, which they could want.
  void ParallelFor(int64_t count, const std::function<void(int64_t)>& task) override;

  // The end of a piece of work that is not a ParallelFor's call: lets others have their turn, if
  // the caller is on a thread of a pool, somebody waits, and the caller holds no Mutex.
  static void Yield();

 private:
  class Workers;
  struct Waiter;
  struct Line;
  struct Place;
  struct Loop;

  explicit ThreadPool(std::shared_ptr<Workers> workers);
  static thread_local Place this_place;

  const std::shared_ptr<Workers> workers_;
  const std::shared_ptr<Line> line_;
  const bool owns_workers_;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_THREAD_POOL_H_
