#include "core/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <deque>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/mutex.h"
#include "core/base/turns.h"

namespace gradd {
namespace {

// Beside one per place: threads whose tasks wait for their turn. At the limit, tasks that have
// begun keep their turn longer, and new ones begin as others end.
constexpr size_t kMaxMoreThreads = 256;

}  // namespace

// A task that has begun and waits for its turn, or one that has not.
struct ThreadPool::Waiter {
  struct Pause {
    CondVar over;
    bool has_place = false;
  };
  Pause* pause = nullptr;
  std::function<void()> task;
};

struct ThreadPool::Line : Turns<Waiter>::Line {};

// Where a thread of a pool stands: it has one of the places of `workers`.
struct ThreadPool::Place {
  Workers* workers = nullptr;  // Null in all other threads.
  std::shared_ptr<Line> line;
  bool kept = false;  // While it works on a piece for somebody who holds a Mutex.

  bool can_be_given() const { return !kept && !Mutex::AnyHeld(); }
};

thread_local ThreadPool::Place ThreadPool::this_place;

// The threads and who waits for them. Whoever works has a place: there are `places`. A place is
// handed to the next waiter by whoever gives it up, so none is free while somebody waits who could
// take it.
class ThreadPool::Workers {
 public:
  explicit Workers(int places) : places_(places) {
    MutexLock lock(&mutex_);
    for (int i = 0; i < places; ++i) threads_.emplace_back([this] { Work(); });
  }

  int places() const { return places_; }

  // Waits until all is done, then ends the threads.
  void End() {
    {
      MutexLock lock(&mutex_);
      while (working_ > 0 || blocked_ > 0 || !turns_.empty()) done_.Wait(&mutex_);
      ended_ = true;
    }
    work_.NotifyAll();
    for (std::thread& thread : threads_) thread.join();
  }

  void Schedule(const std::shared_ptr<Line>& line, std::function<void()> task) {
    {
      MutexLock lock(&mutex_);
      if (!ended_) {
        // The task sets out in the line in which it was scheduled.
        Push(line, {nullptr, [line, task = std::move(task)] {
                      this_place.line = line;
                      task();
                    }});
        HandOut();
        return;
      }
    }
    task();
  }

  // The end of a piece of work in the calling thread, which has a place.
  void Yield(const std::shared_ptr<Line>& line) {
    if (waiting_.load(std::memory_order_relaxed) == 0) return;
    MutexLock lock(&mutex_);
    if (turns_.empty()) return;
    Waiter::Pause pause;
    Push(line, {&pause, nullptr});
    --working_;
    HandOut();
    AwaitPlace(&pause);
  }

  // The calling thread has a place, and does not work until the next call of Unblock().
  void Block() {
    MutexLock lock(&mutex_);
    --working_;
    ++blocked_;
    HandOut();
  }
  void Unblock(const std::shared_ptr<Line>& line) {
    MutexLock lock(&mutex_);
    --blocked_;
    Waiter::Pause pause;
    Push(line, {&pause, nullptr});
    HandOut();
    AwaitPlace(&pause);
  }

 private:
  void Work() {
    MutexLock lock(&mutex_);
    this_place.workers = this;
    while (true) {
      std::function<void()> task;
      if (begun_.empty()) {
        ++idle_;
        while (begun_.empty() && !ended_) work_.Wait(&mutex_);
        --idle_;
        if (begun_.empty()) return;
      }
      task = std::move(begun_.front());
      begun_.pop_front();
      while (task) {
        mutex_.Unlock();
        task();
        task = nullptr;  // What it holds may be large.
        this_place.line = nullptr;
        mutex_.Lock();
        --working_;
        task = HandOut(/*this_thread_is_free=*/true);
      }
      if (working_ == 0) done_.NotifyAll();
    }
  }

  void Push(const std::shared_ptr<Line>& line, Waiter waiter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    turns_.Push(line, std::move(waiter));
    waiting_.fetch_add(1, std::memory_order_relaxed);
  }

  // Gives the free places to whoever is next. If the calling thread is free, it may get a task to
  // begin itself.
  std::function<void()> HandOut(bool this_thread_is_free = false)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    GRADD_DCHECK(working_ >= 0 && working_ <= places_ && blocked_ >= 0,
                 absl::StrCat(working_, " of ", places_, " places taken, ", blocked_, " blocked"));
    std::function<void()> mine;
    while (working_ < places_ && !turns_.empty()) {
      const bool mine_is_free = this_thread_is_free && !mine;
      const bool can_begin = mine_is_free || HaveThread();
      std::optional<Waiter> next = turns_.Pop(
          [can_begin](const Waiter& waiter) { return waiter.pause != nullptr || can_begin; });
      if (!next.has_value()) break;
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      ++working_;
      if (next->pause != nullptr) {
        next->pause->has_place = true;
        next->pause->over.NotifyOne();
      } else if (mine_is_free) {
        mine = std::move(next->task);
      } else {
        begun_.push_back(std::move(next->task));
        work_.NotifyOne();
      }
    }
    return mine;
  }

  // Whether there is a thread for one more task, perhaps a new one.
  bool HaveThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (begun_.size() < idle_) return true;
    if (threads_.size() >= static_cast<size_t>(places_) + kMaxMoreThreads) return false;
    try {
      threads_.emplace_back([this] { Work(); });
    } catch (const std::system_error&) {
      return false;
    } catch (const std::bad_alloc&) {
      return false;
    }
    return true;
  }

  void AwaitPlace(Waiter::Pause* pause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    while (!pause->has_place) pause->over.Wait(&mutex_);
  }

  const int places_;
  std::atomic<int64_t> waiting_{0};  // In turns_; read without the lock.

  Mutex mutex_;
  Turns<Waiter> turns_ ABSL_GUARDED_BY(mutex_);
  int working_ ABSL_GUARDED_BY(mutex_) = 0;  // Places that are taken.
  int blocked_ ABSL_GUARDED_BY(mutex_) = 0;  // Threads between Block() and Unblock().
  // Tasks that have their place and are taken up by the next idle thread.
  std::deque<std::function<void()>> begun_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  CondVar work_;
  CondVar done_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // Guarded by mutex_ until ended_.
};

// One ParallelFor. Helpers that start late, after the caller returned, still hold it, but
// find no index left and so never touch the caller's task.
struct ThreadPool::Loop {
  Loop(int64_t count_in, const std::function<void(int64_t)>& task_in)
      : count(count_in), task(&task_in), is_kept(!this_place.can_be_given()) {}

  void Work() {
    for (int64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) {
      const bool kept = std::exchange(this_place.kept, is_kept);
      (*task)(i);
      this_place.kept = kept;
      if (done.fetch_add(1) + 1 == count) {
        MutexLock lock(&mutex);
        all_done = true;
        ended.NotifyAll();
      }
      Yield();
    }
  }

  const int64_t count;
  const std::function<void(int64_t)>* const task;
  const bool is_kept;  // The caller cannot give its place, so nobody it waits for may.
  std::atomic<int64_t> next{0};
  std::atomic<int64_t> done{0};
  Mutex mutex;
  CondVar ended;
  bool all_done ABSL_GUARDED_BY(mutex) = false;
};

ThreadPool::ThreadPool(int threads)
    : workers_(std::make_shared<Workers>(threads)),
      line_(std::make_shared<Line>()),
      owns_workers_(true) {}

ThreadPool::ThreadPool(std::shared_ptr<Workers> workers)
    : workers_(std::move(workers)), line_(std::make_shared<Line>()), owns_workers_(false) {}

ThreadPool::~ThreadPool() {
  if (owns_workers_) workers_->End();
}

std::unique_ptr<Executor> ThreadPool::Share() const {
  return std::unique_ptr<Executor>(new ThreadPool(workers_));
}

int ThreadPool::threads() const { return workers_->places(); }

void ThreadPool::Schedule(std::function<void()> task) {
  workers_->Schedule(line_, std::move(task));
}

void ThreadPool::ParallelFor(int64_t count, const std::function<void(int64_t)>& task) {
  if (count <= 0) return;
  const int64_t helpers = std::min<int64_t>(threads(), count) - 1;
  if (helpers == 0) {
    for (int64_t i = 0; i < count; ++i) {
      task(i);
      Yield();
    }
    return;
  }
  auto loop = std::make_shared<Loop>(count, task);
  try {
    for (int64_t i = 0; i < helpers; ++i) Schedule([loop] { loop->Work(); });
  } catch (const std::bad_alloc&) {
    // With fewer helpers it takes longer; those there are use `task` until the end.
  }
  loop->Work();
  // A helper may wait for its turn before it goes on with its call: it gets this one's place.
  const bool gives_place = this_place.workers == workers_.get() && this_place.can_be_given();
  {
    MutexLock lock(&loop->mutex);
    if (loop->all_done) return;
  }
  if (gives_place) workers_->Block();
  {
    MutexLock lock(&loop->mutex);
    while (!loop->all_done) loop->ended.Wait(&loop->mutex);
  }
  if (gives_place) workers_->Unblock(this_place.line);
}

void ThreadPool::Yield() {
  if (this_place.workers == nullptr || !this_place.can_be_given()) return;
  this_place.workers->Yield(this_place.line);
}

}  // namespace gradd
