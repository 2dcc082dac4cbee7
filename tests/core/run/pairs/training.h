#ifndef GRADD_TESTS_CORE_RUN_PAIRS_TRAINING_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_TRAINING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "gradd/v1/run.pb.h"
#include "tests/core/run/pairs/reference_optimizer.h"

namespace gradd {

// What is around an optimizer.
enum class Stage {
  kNone,
  kClipByValue,
  kClipByTensorNorm,
  kClipByGlobalNorm,
  kEveryClip,
  kCentralize,
  kAdaptiveClipping,
  kLookAhead,
  kAverage,
  kSkipNonFinite,
  kCoupledDecay,
  kDecoupledDecay,
  kGroupWithoutDecay,  // "bias" has another weight decay than the rest, and is clipped with it.
  kGroupApart,         // "bias" has an optimizer of its own.
  kGroupSharesNorm,    // The same, clipped together with the rest.
  kEverything,         // All that can be around any optimizer.
};
inline constexpr int kStages = 16;
std::string NameOf(Stage stage);

// How a run is trained at some time: what its spec says, and what the reference is told.
struct Training {
  const OptimizerCase* row = nullptr;
  Stage stage = Stage::kNone;
  // What changes while it trains.
  double clip_by_global_norm = 0;  // 0: the stage's.
  double decay = 0;                // Coupled; 0: the stage's.
  bool joined = false;             // Look-ahead and an average have come to it.
  enum class Right { kAsOthers, kApart, kFrozen };
  Right right = Right::kAsOthers;  // How "right" is trained.

  v1::Schedule schedule;
  v1::SynchronizationPolicy policy;
  int64_t window = 1;
};

// All of the run's spec.
v1::Run SpecOf(const Training& training);

// What the reference makes of it.
std::vector<ReferenceGroup> GroupsOf(const Training& training);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_TRAINING_H_
