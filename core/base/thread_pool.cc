#include "core/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <utility>

namespace gradd {

ThreadPool::ThreadPool(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

ThreadPool::~ThreadPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Schedule(std::function<void()> task) {
  {
    MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.NotifyOne();
}

void ThreadPool::Work() {
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(&mutex_);
      while (tasks_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

namespace {

// One ParallelFor. Helpers that start late, after the caller returned, still hold it, but
// find no index left and so never touch the caller's task.
struct Loop {
  explicit Loop(int64_t count_in, const std::function<void(int64_t)>& task_in)
      : count(count_in), task(&task_in) {}

  void Work() {
    int64_t done_here = 0;
    for (int64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      (*task)(i);
      ++done_here;
    }
    if (done_here == 0) return;
    MutexLock lock(&mutex);
    done += done_here;
    if (done == count) all_done.NotifyAll();
  }

  const int64_t count;
  const std::function<void(int64_t)>* const task;
  std::atomic<int64_t> next{0};
  Mutex mutex;
  CondVar all_done;
  int64_t done ABSL_GUARDED_BY(mutex) = 0;
};

}  // namespace

void ThreadPool::ParallelFor(int64_t count, const std::function<void(int64_t)>& task) {
  if (count <= 0) return;
  const int64_t helpers = std::min<int64_t>(threads(), count) - 1;
  if (helpers == 0) {
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  auto loop = std::make_shared<Loop>(count, task);
  try {
    for (int64_t i = 0; i < helpers; ++i) Schedule([loop] { loop->Work(); });
  } catch (const std::bad_alloc&) {
    // With fewer helpers it takes longer; those there are use `task` until the end.
  }
  loop->Work();
  MutexLock lock(&loop->mutex);
  while (loop->done < count) loop->all_done.Wait(&loop->mutex);
}

}  // namespace gradd
