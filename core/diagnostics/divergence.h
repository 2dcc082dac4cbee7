#ifndef GRADD_CORE_DIAGNOSTICS_DIVERGENCE_H_
#define GRADD_CORE_DIAGNOSTICS_DIVERGENCE_H_

#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "gradd/state/v1/diagnostics.pb.h"

namespace gradd {

// The loss has left for good.
struct Divergence {
  int64_t since_step = 0;  // The first step of the first block of steps that was too high.
  double loss = 0;         // Mean of the newest block; not finite: that of the last step.
  double best = 0;         // Lowest mean of a block before; infinite: there was none.

  // `loss is 31x its best since step 1,204`, `loss is not finite since step 17`.
  std::string Text() const;
};

// Says whether a run diverges, from its losses alone. A value: the same losses give the same
// answer.
//
// A loss that is not finite diverges at once. Otherwise single losses say little, because they are
// noisy and depend on one another; so means over blocks of kBlockSteps steps are judged. The run
// diverges when two blocks in a row are each above all of
//   1. best + 2 |best|, which is three times a positive best, and
//   2. median + 24 * 1.4826 MAD of the last kHistory blocks before them. MAD is the median of the
//      absolute deviations from the median; 1.4826 MAD estimates a normal distribution's standard
//      deviation (Rousseeuw and Croux 1993).
//   3. best + 0.001 |first block - best|: where the loss is next to nothing already, three times
//      nothing is no news.
// The first takes care of losses with little noise, the second of losses with much. With fewer than
// kEnoughBlocks blocks to compare with, median and MAD say little: then both bounds are much wider
// (51 times a positive best, 48 deviations), and with fewer than kLeastBlocks nothing is said. It
// is over when two blocks in a row are below what the first one was above.
//
// Costs an addition a step, and once in a block a few hundred operations. Not thread safe.
class DivergenceDetector {
 public:
  static constexpr int kBlockSteps = 20;
  static constexpr size_t kHistory = 50;
  static constexpr size_t kLeastBlocks = 3;
  static constexpr size_t kEnoughBlocks = 20;

  // The mean loss of step `step`; steps are counted from 1. Returns the mean of a block that is
  // full with it.
  std::optional<double> Add(int64_t step, double loss);

  const std::optional<Divergence>& divergence() const { return divergence_; }
  // The first step of the blocks, up to the one that is not full, that are too high: of what may
  // become a divergence, or is one. Unset: there is none.
  std::optional<int64_t> HighSince() const;

  void Write(state::v1::DivergenceState* state) const;
  // Goes on from what Write() has given. INVALID_ARGUMENT, with nothing changed, names a number
  // that no detector has.
  absl::Status Read(const state::v1::DivergenceState& state);

 private:
  void AddBlock(int64_t first_step, double mean);
  double Limit() const;

  double sum_ = 0;  // Of the block that is not yet full.
  int steps_ = 0;   // In it.
  int64_t first_step_ = 0;
  double best_ = std::numeric_limits<double>::infinity();
  double start_ = 0;            // The first block's mean.
  std::deque<double> history_;  // Means of blocks, without those that were too high.
  // Blocks in a row, up to two, that speak against what is said now.
  int against_ = 0;
  int64_t since_step_ = 0;  // Of the first of them, while nothing is said.
  double first_high_ = 0;   // Its mean.
  // What the loss was above. Only with a divergence, and while one block is high.
  double limit_ = std::numeric_limits<double>::infinity();
  std::optional<Divergence> divergence_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DIAGNOSTICS_DIVERGENCE_H_
