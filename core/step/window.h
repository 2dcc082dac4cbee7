#ifndef GRADD_CORE_STEP_WINDOW_H_
#define GRADD_CORE_STEP_WINDOW_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/optim/optimizer.h"
#include "core/step/window_facts.h"
#include "core/store/block.h"
#include "core/store/block_reader.h"
#include "core/store/snapshot.h"
#include "core/sync/staged_push.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// How many pushes make a step, of each worker or in all; see Optimizer.accumulation_steps. At
// least 1.
inline int64_t WindowOf(const v1::Optimizer& optimizer) {
  return std::max<int64_t>(optimizer.accumulation_steps(), 1);
}

// No element of a push that becomes part of a window may have a larger magnitude: its square is in
// the range of float32. By the step in which it is used, it is too late to refuse it.
inline constexpr float kLargestInWindow = 0x1p63F;

// Where pushes are mixed that make a step together with later ones: the mean of their gradients,
// weighted by their examples. It is as large as the parameters.
//
// Fold() is exclusive; so is everything else beside it.
class Window {
 public:
  // What it claims, as state.
  static int64_t BytesFor(int64_t elements) { return elements * int64_t{sizeof(float)}; }
  // Null if the budget has no room; throws std::bad_alloc if the machine has no memory. Others'
  // versions may be taken for it, but the heap is not trimmed, as the run's lock may be held: see
  // MemoryBudget::MakeRoom().
  static std::unique_ptr<Window> Create(int64_t elements, int64_t block_elements,
                                        MemoryBudget* budget);

  // Makes a push part of what is there: keep * present + coefficient * push, element by element,
  // rounded to float32 after each operation. With keep 0, what is present is not read. Missing rows
  // are zeros. It is long work, done on `executor`. `step`: steps applied.
  void Fold(const state::v1::FoldedPush& how, const StagedPush& push, int64_t step,
            Executor* executor);
  // Nothing is in it from now on.
  void Clear() { facts_ = {}; }

  // Copies of its blocks. Throws std::bad_alloc if there is no memory. Takes long.
  BlockVector Copy() const;
  // Has what Copy() of a window with these facts has given. INVALID_ARGUMENT, with nothing changed,
  // names what differs. Takes long.
  absl::Status Restore(const BlockVector& blocks, const WindowFacts& facts);

  // What was folded since the last Clear().
  const WindowFacts& facts() const { return facts_; }
  int64_t bytes() const { return claim_->bytes(); }

  // Reads it from some element on, in order.
  class Reader final : public BlockReader {
   public:
    Reader(const Window& window, int64_t begin)
        : BlockReader(window.blocks_, window.block_elements_, begin) {}
  };

 private:
  Window(std::shared_ptr<MemoryBudget::Claim> claim, int64_t elements, int64_t block_elements);

  const std::shared_ptr<MemoryBudget::Claim> claim_;
  const int64_t block_elements_;
  BlockVector blocks_;
  WindowFacts facts_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_WINDOW_H_
