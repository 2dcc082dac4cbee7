#ifndef GRADD_TESTS_BENCHMARKS_OPTIMIZER_PASS_H_
#define GRADD_TESTS_BENCHMARKS_OPTIMIZER_PASS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/optim/optimizer.h"
#include "core/store/block.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {

// Parameters, gradient and slots of 25 million elements, which an optimizer updates tile by tile as
// the server does it, norms included; and what memory can do beside it. One thread calls it.
class OptimizerPass {
 public:
  static constexpr int64_t kElements = 25'000'000;

  explicit OptimizerPass(int threads);

  // Makes the optimizer of `row`, with fresh parameters and slots.
  void Begin(const OptimizerCase& row);
  // False if it looks at all elements of a tensor first, which a step here does not.
  bool is_elementwise() const {
    return optimizer_->sums() == 0 && optimizer_->transforms().empty();
  }
  void Step();
  // Bytes that a step reads and writes.
  int64_t step_bytes() const;

  // p -= lr * g in place.
  void Sweep();
  static constexpr int64_t kSweepBytes = 3 * sizeof(float) * kElements;

 private:
  // A vector in blocks, as the server keeps it.
  class Vector {
   public:
    explicit Vector(BlockPool* pool);
    float* block(int64_t index) const { return blocks_[static_cast<size_t>(index)].data(); }

   private:
    std::vector<BlockRef> blocks_;
  };

  void Fill(const Vector& vector, float value);
  // Calls task(block, elements) for every block, on all threads.
  void ForEachBlock(const std::function<void(int64_t, int64_t)>& task);

  ThreadPool pool_;
  const std::shared_ptr<BlockPool> blocks_;
  Vector parameters_;
  Vector gradient_;
  std::vector<Vector> slots_;  // At least those of the optimizer.
  std::unique_ptr<Optimizer> optimizer_;
  double learning_rate_ = 0;
  std::vector<double> kept_;
  int64_t step_ = 0;
};

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_OPTIMIZER_PASS_H_
