#include "core/step/measurements.h"

namespace gradd {

std::vector<MeasuredPush> MeasuredPushes(const state::v1::StepDecision& decision,
                                         const Measurements& measurements) {
  std::vector<MeasuredPush> pushes;
  pushes.reserve(measurements.pushes.size());
  for (const Measurements::OfPush& measured : measurements.pushes) {
    const state::v1::DecidedPush& decided = decision.used(static_cast<int>(pushes.size()));
    pushes.push_back(
        {decided.worker(), decided.examples(), measured.squared_norm, measured.with_mean});
  }
  return pushes;
}

}  // namespace gradd
