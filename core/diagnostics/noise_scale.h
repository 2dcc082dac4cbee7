#ifndef GRADD_CORE_DIAGNOSTICS_NOISE_SCALE_H_
#define GRADD_CORE_DIAGNOSTICS_NOISE_SCALE_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/diagnostics/measured_push.h"
#include "core/diagnostics/smoothed_mean.h"
#include "gradd/state/v1/diagnostics.pb.h"

namespace gradd {

// The gradient noise scale (McCandlish et al. 2018, arXiv:1812.06162, appendix A; here for any
// number of batches of any size): the number of examples of which a mean gradient is as much noise
// as it is gradient. With far fewer in a step, twice as many make about twice the way; with far
// more, next to nothing is gained by more.
//
// With K pushes, of b_k of the B examples:
//   S = (sum b_k |g_k|^2 - B |G|^2) / (K - 1)   estimates the trace of the gradients' covariance,
//   N = |G|^2 - S / B                           the squared norm of the true gradient.
// Each is noise for the most part, so each is smoothed (0.99, bias corrected); the scale is S / N.
//
// A value. Not thread safe.
class NoiseScale {
 public:
  // Of one step. One push alone says nothing of noise.
  void AddStep(absl::Span<const MeasuredPush> pushes);

  // In examples. Unset where the last step said nothing, and while the gradient is lost in its
  // noise: then the scale is larger than can be told.
  std::optional<double> value() const;

  void Write(state::v1::NoiseScaleState* state) const;
  // Goes on from what Write() has given; there is a value again after the next step.
  // INVALID_ARGUMENT names a number that none has; this one is of no use then.
  absl::Status Read(const state::v1::NoiseScaleState& state);

 private:
  static constexpr double kDecay = 0.99;

  SmoothedMean covariance_trace_{kDecay};
  SmoothedMean squared_norm_{kDecay};
  bool is_known_ = false;  // From the last step.
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_NOISE_SCALE_H_
