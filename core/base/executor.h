#ifndef GRADD_CORE_BASE_EXECUTOR_H_
#define GRADD_CORE_BASE_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <memory>

namespace gradd {

// Where work is done that takes long: on threads (ThreadPool), or, in tests, one task after the
// other in an order that the test chooses. Thread safe.
class Executor {
 public:
  Executor() = default;
  virtual ~Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Another user of the same threads, who takes turns with this one. It may live longer.
  virtual std::unique_ptr<Executor> Share() const = 0;

  // How many pieces of work may be done at a time, beside what the callers of ParallelFor() do.
  virtual int threads() const = 0;

  // Runs `task` later, never within this call. Tasks of one Executor begin in the order in which
  // they were scheduled.
  virtual void Schedule(std::function<void()> task) = 0;

  // Calls task(i) for every i in [0, count), perhaps at the same time and in any order, and returns
  // when all are done. May be called from within a task. `task` must not throw: there is nobody to
  // catch it. Each call is a piece; it should take milliseconds.
  virtual void ParallelFor(int64_t count, const std::function<void(int64_t)>& task) = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_EXECUTOR_H_
