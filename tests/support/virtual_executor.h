#ifndef GRADD_TESTS_SUPPORT_VIRTUAL_EXECUTOR_H_
#define GRADD_TESTS_SUPPORT_VIRTUAL_EXECUTOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "core/base/executor.h"

namespace gradd {

// An Executor without threads: tasks wait until a test runs them, one after the other, in an order
// that a seed chooses among the sharers. So whatever is made on it happens in the same order for
// the same seed. For one thread.
//
// Example:
//   auto owned = std::make_unique<VirtualExecutor>(/*seed=*/1);
//   VirtualExecutor* const executor = owned.get();
//   RunRegistry registry(Limits(), std::move(owned), &clock);
//   ...
//   executor->RunAll();
class VirtualExecutor final : public Executor {
 public:
  explicit VirtualExecutor(uint64_t seed) : queues_(std::make_shared<Queues>(seed)) {
    queues_->all.push_back(queue_);
  }
  // Runs what is left.
  ~VirtualExecutor() override {
    if (owns_) RunAll();
  }

  std::unique_ptr<Executor> Share() const override {
    return std::unique_ptr<Executor>(new VirtualExecutor(queues_));
  }
  int threads() const override { return 1; }
  void Schedule(std::function<void()> task) override { queue_->push_back(std::move(task)); }
  // Here and now, in an order of its own.
  void ParallelFor(int64_t count, const std::function<void(int64_t)>& task) override {
    const int64_t first = count > 1 ? static_cast<int64_t>(queues_->Draw(count)) : 0;
    for (int64_t i = 0; i < count; ++i) task((first + i) % count);
  }

  // Runs the next task of some sharer; false if there is none.
  bool RunOne() {
    std::vector<std::shared_ptr<Queue>> busy;
    for (const auto& queue : queues_->all) {
      if (!queue->empty()) busy.push_back(queue);
    }
    if (busy.empty()) return false;
    Queue& queue = *busy[queues_->Draw(busy.size())];
    const std::function<void()> task = std::move(queue.front());
    queue.pop_front();
    task();
    return true;
  }
  // Whether no sharer has a task left.
  bool idle() const {
    return std::all_of(queues_->all.begin(), queues_->all.end(),
                       [](const auto& queue) { return queue->empty(); });
  }
  void RunAll() {
    while (RunOne()) {
    }
  }

 private:
  using Queue = std::deque<std::function<void()>>;
  struct Queues {
    explicit Queues(uint64_t seed) : random(seed) {}
    template <typename Count>
    size_t Draw(Count count) {
      return std::uniform_int_distribution<size_t>(0, static_cast<size_t>(count) - 1)(random);
    }
    std::mt19937_64 random;
    std::vector<std::shared_ptr<Queue>> all;  // One for each sharer that ever was.
  };

  explicit VirtualExecutor(std::shared_ptr<Queues> queues)
      : queues_(std::move(queues)), owns_(false) {
    queues_->all.push_back(queue_);
  }

  const std::shared_ptr<Queues> queues_;
  const std::shared_ptr<Queue> queue_ = std::make_shared<Queue>();
  const bool owns_ = true;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_VIRTUAL_EXECUTOR_H_
