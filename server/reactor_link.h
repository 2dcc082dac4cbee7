#ifndef GRADD_SERVER_REACTOR_LINK_H_
#define GRADD_SERVER_REACTOR_LINK_H_

#include <functional>
#include <memory>
#include <utility>

#include "core/base/executor.h"
#include "core/base/mutex.h"

namespace gradd {

// What tasks, and others who call back later, have of a reactor that may be done before them. They
// use it one at a time. Thread safe.
template <typename Reactor>
class ReactorLink : public std::enable_shared_from_this<ReactorLink<Reactor>> {
 public:
  explicit ReactorLink(Reactor* reactor) : reactor_(reactor) {}

  // Calls use(reactor), if there still is one, with nobody else using it. That must not wait for
  // anything that others need a reactor for.
  void Use(const std::function<void(Reactor*)>& use) {
    MutexLock lock(&mutex_);
    if (reactor_ != nullptr) use(reactor_);
  }
  // The same as a task.
  void UseOn(Executor* executor, std::function<void(Reactor*)> use) {
    executor->Schedule([self = this->shared_from_this(), use = std::move(use)] { self->Use(use); });
  }
  // The reactor is done: nobody uses it when this returns.
  void End() {
    MutexLock lock(&mutex_);
    reactor_ = nullptr;
  }

 private:
  Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_SERVER_REACTOR_LINK_H_
