#ifndef GRADD_CTL_SWEEP_H_
#define GRADD_CTL_SWEEP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gradd/v1/run_service.pb.h"
#include "gradd/v1/schedule.pb.h"

namespace gradd::ctl {

// A learning-rate range test (Smith 2017, arXiv:1506.01186, section 3.3): the rate rises
// exponentially, step by step, until training diverges.
struct SweepRange {
  double from = 1e-6;
  double to = 10;
  int64_t steps = 400;
};

// Fewer steps would say little about a range; more would not fit a schedule of points.
inline constexpr int64_t kMinSweepSteps = 20;
inline constexpr int64_t kMaxSweepSteps = 1000;

// A usage error if the range is empty, reversed, or not within [1e-12, 1e6].
absl::Status CheckSweepRange(const SweepRange& range, absl::string_view steps_option);

// The rate of each step.
v1::Schedule SweepSchedule(const SweepRange& range);

// The loss to which a rate has led.
struct SweepPoint {
  double rate = 0;
  double loss = 0;
  double smoothed_loss = 0;  // A mean over neighbours on both sides.
};

// Whether a step's loss is so bad that further ones tell nothing.
bool HasDiverged(const std::vector<v1::TrialStep>& steps);

// What a sweep tells, from its steps in their order, up to its divergence. A step's loss is that
// before it: the next step's loss is the one to which its rate led.
std::vector<SweepPoint> SweepPoints(const std::vector<v1::TrialStep>& steps);

struct RateSuggestion {
  double rate = 0;
  std::string reason;
  bool is_guess = false;  // The reason says why.
};
// The rate to train with. An error if the loss never fell.
absl::StatusOr<RateSuggestion> SuggestRate(const std::vector<SweepPoint>& points);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_SWEEP_H_
