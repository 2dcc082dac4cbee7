#ifndef GRADD_CORE_CODEC_ERROR_FEEDBACK_H_
#define GRADD_CORE_CODEC_ERROR_FEEDBACK_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace gradd {

// What sparse pushes leave behind is kept and added to the next gradient, so that nothing is lost
// and only comes later (Stich et al. 2018, "Sparsified SGD with memory", algorithm 1; Lin et al.
// 2018, "Deep gradient compression"). For each push: Add() the gradient, choose elements of
// residual(), Take() them; GiveBack() if they did not become part of a step.
class ErrorFeedback {
 public:
  explicit ErrorFeedback(int64_t elements) : residual_(static_cast<size_t>(elements)) {}

  // Adds `gradient`, as long as the residual. INVALID_ARGUMENT with reason NON_FINITE, and nothing
  // changed, if a sum is not finite.
  absl::Status Add(absl::Span<const float> gradient);

  absl::Span<const float> residual() const { return residual_; }

  // Moves the elements at `indices` out of the residual: `values` has as many.
  void Take(absl::Span<const uint32_t> indices, absl::Span<float> values);

  // Adds them again.
  void GiveBack(absl::Span<const uint32_t> indices, absl::Span<const float> values);

  // Takes out what Add() has added, but for rounding.
  void Remove(absl::Span<const float> gradient);
  // Nothing is left from now on.
  void Clear();

 private:
  std::vector<float> residual_;
};

}  // namespace gradd

#endif  // GRADD_CORE_CODEC_ERROR_FEEDBACK_H_
