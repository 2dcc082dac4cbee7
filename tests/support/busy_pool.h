#ifndef GRADD_TESTS_SUPPORT_BUSY_POOL_H_
#define GRADD_TESTS_SUPPORT_BUSY_POOL_H_

#include "core/base/executor.h"
#include "core/base/mutex.h"

namespace gradd {

// Takes the pool's threads until it is told to let go of them.
class BusyPool {
 public:
  explicit BusyPool(Executor* pool) {
    for (int i = 0; i < pool->threads(); ++i) {
      pool->Schedule([this] {
        MutexLock lock(&mutex_);
        ++busy_;
        changed_.NotifyAll();
        while (!let_go_) changed_.Wait(&mutex_);
        --busy_;
        changed_.NotifyAll();
      });
    }
    MutexLock lock(&mutex_);
    while (busy_ < pool->threads()) changed_.Wait(&mutex_);
  }
  ~BusyPool() { LetGo(); }
  void LetGo() {
    MutexLock lock(&mutex_);
    let_go_ = true;
    changed_.NotifyAll();
    while (busy_ > 0) changed_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int busy_ ABSL_GUARDED_BY(mutex_) = 0;
  bool let_go_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_BUSY_POOL_H_
