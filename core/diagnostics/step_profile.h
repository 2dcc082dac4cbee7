#ifndef GRADD_CORE_DIAGNOSTICS_STEP_PROFILE_H_
#define GRADD_CORE_DIAGNOSTICS_STEP_PROFILE_H_

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/time/time.h"
#include "core/diagnostics/smoothed_mean.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// Where the time of a step goes on the server. What a phase covers is in gradd/v1/run.proto,
// StepProfile. Phases of different workers overlap. Not thread safe.
class StepProfile {
 public:
  enum Phase { kReceive, kStage, kWait, kApply, kSend, kPhases };
  static constexpr std::array<const char*, kPhases> kNames = {"receive", "stage", "wait", "apply",
                                                              "send"};

  void Add(Phase phase, absl::Duration time) {
    const double seconds = std::max(0.0, absl::ToDoubleSeconds(time));
    totals_[phase] += seconds;
    means_[phase].Add(seconds);
  }

  // Seconds spent so far, by phase.
  const std::array<double, kPhases>& totals() const { return totals_; }

  void Fill(v1::StepProfile* profile) const {
    profile->set_receive_seconds(means_[kReceive].value());
    profile->set_stage_seconds(means_[kStage].value());
    profile->set_wait_seconds(means_[kWait].value());
    profile->set_apply_seconds(means_[kApply].value());
    profile->set_send_seconds(means_[kSend].value());
  }

 private:
  std::array<double, kPhases> totals_{};
  std::array<SmoothedMean, kPhases> means_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_STEP_PROFILE_H_
