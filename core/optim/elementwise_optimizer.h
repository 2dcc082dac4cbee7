#ifndef GRADD_CORE_OPTIM_ELEMENTWISE_OPTIMIZER_H_
#define GRADD_CORE_OPTIM_ELEMENTWISE_OPTIMIZER_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/base/norms.h"
#include "core/base/prefetch.h"
#include "core/optim/optimizer.h"

// Asserts that the iterations of the next loop are independent, although pointers may be the
// same: an update in place reads element i before it writes element i, and touches no other.
#if defined(__clang__)
#define GRADD_INDEPENDENT_ITERATIONS _Pragma("clang loop vectorize(assume_safety)")
#else
#define GRADD_INDEPENDENT_ITERATIONS _Pragma("GCC ivdep")
#endif

namespace gradd {

// Turns a rule for one element into an optimizer. This is the only loop over elements; the
// compiler vectorizes it, and because every element goes through the same operations in the
// same order, the result does not depend on the vector width.
//
// A rule has
//   static constexpr int kSlots;
//   std::vector<SlotSpec> Slots() const;               // kSlots of them
//   static constexpr int kTrainingSlot;                // or -1
//   struct Scalars;                                    // what is the same for all elements
//   Scalars Prepare(const StepInput& input) const;     // in double, rounded once
//   using Slots = std::array<float, kSlots>;
//   // The point at which the gradient of this element was taken.
//   static float GradientPoint(float p, const Slots& slots);
//   // The new parameter; updates the slots.
//   static float Apply(const Scalars& scalars, float p, float g, Slots& slots);
template <typename Rule>
class ElementwiseOptimizer final : public Optimizer {
 public:
  explicit ElementwiseOptimizer(Rule rule)
      : rule_(std::move(rule)), slots_(rule_.Slots()), scalars_(rule_.Prepare({})) {}

  const std::vector<SlotSpec>& slots() const override { return slots_; }
  int training_slot() const override { return Rule::kTrainingSlot; }
  void BeginStep(const StepInput& input) override { scalars_ = rule_.Prepare(input); }

  void UpdateTile(const Tile& tile, TileNorms* norms) const override {
    constexpr size_t kSlots = Rule::kSlots;
    std::array<const float*, kSlots> slots_in;
    std::array<float*, kSlots> slots_out;
    for (size_t k = 0; k < kSlots; ++k) {
      slots_in[k] = tile.slots_in[k];
      slots_out[k] = tile.slots_out[k];
    }
    const typename Rule::Scalars scalars = scalars_;
    const UnalignedFloat* const gradient = tile.gradient;
    const float* const parameters_in = tile.parameters_in;
    float* const parameters_out = tile.parameters_out;
    TileNorms sum;
    for (int64_t begin = 0; begin < tile.size; begin += kNormRun) {
      if (begin % kPageElements == kPageElements - kNormRun) {
        const int64_t page = begin + kNormRun;
        PrefetchPage(gradient + page);
        PrefetchPage(parameters_in + page);
        for (size_t k = 0; k < kSlots; ++k) PrefetchPage(slots_in[k] + page);
      }
      const int64_t end = std::min(begin + kNormRun, tile.size);
      alignas(64) float update[kNormRun];
      GRADD_INDEPENDENT_ITERATIONS
      for (int64_t i = begin; i < end; ++i) {
        std::array<float, kSlots> slots;
        for (size_t k = 0; k < kSlots; ++k) slots[k] = slots_in[k][i];
        const float before = parameters_in[i];
        const float after = Rule::Apply(scalars, before, gradient[i], slots);
        update[i - begin] = after - before;
        parameters_out[i] = after;
        for (size_t k = 0; k < kSlots; ++k) slots_out[k][i] = slots[k];
      }
      if (norms == nullptr) continue;
      sum.gradient += SquaredNorm(gradient + begin, end - begin);
      sum.update += SquaredNorm(update, end - begin);
      sum.parameters += SquaredNorm(parameters_out + begin, end - begin);
    }
    if (norms != nullptr) *norms = sum;
  }

 private:
  const Rule rule_;
  const std::vector<SlotSpec> slots_;
  typename Rule::Scalars scalars_;
};

// What most rules share: the gradient was taken at the parameters themselves.
struct TrainsAtParameters {
  static constexpr int kTrainingSlot = -1;
  template <typename Slots>
  static float GradientPoint(float p, const Slots& /*slots*/) {
    return p;
  }
};

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_ELEMENTWISE_OPTIMIZER_H_
