#include "core/base/thread_pool.h"

#define EIGEN_USE_THREADS

#include <algorithm>
#include <atomic>
#include <unsupported/Eigen/CXX11/ThreadPool>
#include <utility>

#include "core/base/mutex.h"

namespace gradd {

class ThreadPool::Impl {
 public:
  // No spinning: the cores belong to the network and the workers as well.
  explicit Impl(int threads) : pool(threads, /*allow_spinning=*/false) {}
  Eigen::ThreadPool pool;
};

ThreadPool::ThreadPool(int threads) : threads_(threads), impl_(std::make_unique<Impl>(threads)) {}
ThreadPool::~ThreadPool() = default;

void ThreadPool::Schedule(std::function<void()> task) { impl_->pool.Schedule(std::move(task)); }

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
  const int64_t helpers = std::min<int64_t>(threads_, count) - 1;
  if (helpers == 0) {
    for (int64_t i = 0; i < count; ++i) task(i);
    return;
  }
  auto loop = std::make_shared<Loop>(count, task);
  for (int64_t i = 0; i < helpers; ++i) Schedule([loop] { loop->Work(); });
  loop->Work();
  MutexLock lock(&loop->mutex);
  while (loop->done < count) loop->all_done.Wait(&loop->mutex);
}

}  // namespace gradd
