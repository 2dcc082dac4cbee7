#ifndef GRADD_TESTS_CORE_RUN_PAIRS_PAIR_CASE_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_PAIR_CASE_H_

#include <string>
#include <vector>

#include "tests/core/run/pairs/covering_array.h"
#include "tests/core/run/pairs/pushed_gradient.h"
#include "tests/core/run/pairs/training.h"

namespace gradd {

// How pushes of two workers become steps.
enum class Policy {
  kSynchronous,
  kSynchronousWindow,    // Of two pushes each.
  kSynchronousDeadline,  // One step is made without a worker.
  kQuorumCarried,        // One makes a step, and the other one's push is carried into the next.
  kAsynchronous,
  kAsynchronousWindow,  // Of three pushes in all.
  kAsynchronousSlower,  // Stale pushes with a lower rate.
  kDelayCompensation,   // Stale gradients corrected for what changed since,
  kAgeDecay,            // or scaled by their age.
  kBoundedStaleness,
};
inline constexpr int kPolicies = 10;
std::string NameOf(Policy policy);

// What people do while the run trains.
enum class LiveChange {
  kNone,
  kRate,
  kSchedule,         // Another curve, with a warm-up.
  kPlateau,          // The rate is reduced when an evaluation is no better.
  kHyperParameters,  // To the next row of the same kind.
  kKind,
  kGroups,    // A tensor gets an optimizer of its own.
  kFreeze,    // A tensor is frozen.
  kPolicy,    // Synchronous instead of asynchronous, or the other way.
  kWindow,    // Two pushes make a step, or one again.
  kMaxSteps,  // The run is finished, and goes on.
  kClip,      // A bound of the norm, or another one.
  kJoin,      // Look-ahead and an average.
  kDecay,     // Weight decay, or another one.
  kPause,
};
inline constexpr int kLiveChanges = 15;
std::string NameOf(LiveChange change);

// What happens to a worker.
enum class Restart {
  kNone,
  kLeaves,     // And joins again.
  kDies,       // In the middle of a push, joins again and pushes it whole.
  kExpires,    // Dies like that, joins again when its lease has ended.
  kTakesOver,  // Its next session takes over and repeats the last push; so does the other worker.
};
inline constexpr int kRestarts = 5;
std::string NameOf(Restart restart);

// Where the workers' examples come from.
enum class Examples {
  kOwn,     // They have them.
  kLeased,  // The run has a data set and hands out its batches.
};
inline constexpr int kExampleSources = 2;
std::string NameOf(Examples examples);

// One value of each factor.
struct PairCase {
  const OptimizerCase* row = nullptr;
  Stage stage = Stage::kNone;
  LiveChange change = LiveChange::kNone;
  PushForm form = PushForm::kFloat32;
  Policy policy = Policy::kSynchronous;
  Restart restart = Restart::kNone;
  Examples examples = Examples::kOwn;
  int number = 0;  // Among all.
};
std::string NameOf(const PairCase& pair);

// The factors as CoverPairs() counts them, in the order of PairCase.
std::vector<int> PairFactors();
// Whether such a case can be; see exclusions.h.
bool MayBeTogether(const FactorRow& row);
// Cases in which all pairs come together that may.
const std::vector<PairCase>& PairCases();

// The row to which kHyperParameters changes; null: there is none. And to which kKind does.
const OptimizerCase* NextRowOfKind(const OptimizerCase& row, Stage stage);
const OptimizerCase& RowOfOtherKind(const OptimizerCase& row);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_PAIR_CASE_H_
