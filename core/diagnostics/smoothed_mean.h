#ifndef GRADD_CORE_DIAGNOSTICS_SMOOTHED_MEAN_H_
#define GRADD_CORE_DIAGNOSTICS_SMOOTHED_MEAN_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "gradd/state/v1/diagnostics.pb.h"

namespace gradd {

// Exponentially smoothed mean, bias corrected as Adam's first moment is (Kingma and Ba 2015,
// section 3): right from the first value on. Not thread safe.
class SmoothedMean {
 public:
  explicit SmoothedMean(double decay = 0.95) : decay_(decay) {}

  void Add(double value) {
    average_ = decay_ * average_ + (1 - decay_) * value;
    bias_ *= decay_;
  }
  // 0 before the first value.
  double value() const { return bias_ < 1 ? average_ / (1 - bias_) : 0; }

  void Write(state::v1::MeanState* state) const {
    state->set_average(average_);
    state->set_bias(bias_);
  }
  // Goes on from what Write() has given. INVALID_ARGUMENT, with nothing changed, if the bias is
  // none.
  absl::Status Read(const state::v1::MeanState& state) {
    if (!(state.bias() >= 0 && state.bias() <= 1)) {
      return InvalidArgument("STATE_INVALID",
                             absl::StrCat("mean.bias: ", state.bias(), " is outside [0, 1]"));
    }
    average_ = state.average();
    bias_ = state.bias();
    return absl::OkStatus();
  }

 private:
  double decay_;        // In (0, 1).
  double average_ = 0;  // Biased towards 0.
  double bias_ = 1;     // decay_^values.
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_SMOOTHED_MEAN_H_
