#include "core/codec/error_feedback.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/codec/float_bits.h"

namespace gradd {

absl::Status ErrorFeedback::Add(absl::Span<const float> gradient) {
  constexpr uint32_t kSignBit = 0x80000000;
  uint32_t carries = 0;
  for (size_t i = 0; i < residual_.size(); ++i) {
    carries |= (BitsOf(residual_[i] + gradient[i]) & ~kSignBit) + (kSignBit - kInfinityBits);
  }
  if ((carries & kSignBit) != 0) {
    size_t bad = 0;
    while (std::isfinite(residual_[bad] + gradient[bad])) ++bad;
    return Error(absl::StatusCode::kInvalidArgument, "NON_FINITE",
                 absl::StrCat("element ", bad, " is ", gradient[bad], ", and ",
                              residual_[bad] + gradient[bad],
                              " with what earlier pushes left behind; expected a finite number"));
  }
  for (size_t i = 0; i < residual_.size(); ++i) residual_[i] += gradient[i];
  return absl::OkStatus();
}

void ErrorFeedback::Take(absl::Span<const uint32_t> indices, absl::Span<float> values) {
  for (size_t i = 0; i < indices.size(); ++i) {
    values[i] = residual_[indices[i]];
    residual_[indices[i]] = 0;
  }
}

void ErrorFeedback::GiveBack(absl::Span<const uint32_t> indices, absl::Span<const float> values) {
  for (size_t i = 0; i < indices.size(); ++i) residual_[indices[i]] += values[i];
}

void ErrorFeedback::Remove(absl::Span<const float> gradient) {
  for (size_t i = 0; i < residual_.size(); ++i) residual_[i] -= gradient[i];
}

void ErrorFeedback::Clear() { std::fill(residual_.begin(), residual_.end(), 0.0F); }

}  // namespace gradd
