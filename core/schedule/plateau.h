#ifndef GRADD_CORE_SCHEDULE_PLATEAU_H_
#define GRADD_CORE_SCHEDULE_PLATEAU_H_

#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "gradd/state/v1/diagnostics.pb.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/schedule.pb.h"

namespace gradd {

// A schedule's `reduce_on_plateau`: the factor by which a run's learning rate is reduced, 1 at
// first and for schedules without one. The rule is torch's ReduceLROnPlateau, comparison by
// comparison, except for a relative threshold of a metric below 0; a metric that is NaN is never
// better. Not thread safe.
class Plateau {
 public:
  // `schedule` must be valid.
  explicit Plateau(const v1::Schedule& schedule) { Configure(schedule); }

  // Goes on with the settings of `schedule`: anew if they are others than before.
  void Configure(const v1::Schedule& schedule);

  double factor() const { return factor_; }

  // What the run reports, `step` being the steps applied. Each observes it if it is the metric and
  // its time has come, and returns whether the factor fell.
  bool ObserveTrainingLoss(int64_t step, double smoothed_loss);
  bool ObserveEvaluation(const v1::Evaluation& evaluation);

  // How far it is; the settings are the schedule's.
  void Write(state::v1::PlateauState* state) const;
  // Goes on from what Write() has given, with the settings of the same schedule. INVALID_ARGUMENT,
  // with nothing changed, names a number that no plateau has.
  absl::Status Read(const state::v1::PlateauState& state);

 private:
  Plateau() = default;
  bool Observe(double metric);
  bool Better(double metric) const;
  bool MoreIsBetter() const;
  // Whether the factor fell.
  bool Reduce();

  std::optional<v1::ReduceOnPlateau> settings_;
  v1::PlateauMetric metric_ = v1::PLATEAU_METRIC_UNSPECIFIED;  // Unspecified without settings.
  int64_t last_evaluation_step_ = -1;
  double factor_ = 1;
  double best_ = std::numeric_limits<double>::infinity();
  int64_t bad_observations_ = 0;  // Since the best one or the last reduction.
  int64_t cooldown_left_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_PLATEAU_H_
