#include "core/durability/checkpoint_retention.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

namespace gradd {
namespace {

constexpr int64_t kDefaultKeepLast = 3;

}  // namespace

std::vector<KeptCheckpoint> CheckpointsToRemove(const std::vector<KeptCheckpoint>& checkpoints,
                                                const v1::Checkpoints& spec) {
  const auto size = static_cast<int64_t>(checkpoints.size());
  const int64_t keep_last = spec.keep_last() == 0 ? kDefaultKeepLast : spec.keep_last();
  const KeptCheckpoint* best = nullptr;
  for (const KeptCheckpoint& checkpoint : checkpoints) {
    if (!checkpoint.evaluation_loss.has_value()) continue;
    if (best == nullptr || *checkpoint.evaluation_loss < *best->evaluation_loss) best = &checkpoint;
  }
  // By timeline and multiple of steps.
  std::set<std::pair<uint64_t, int64_t>> first_of;
  std::vector<KeptCheckpoint> to_remove;
  for (int64_t i = 0; i < size; ++i) {
    const KeptCheckpoint& checkpoint = checkpoints[static_cast<size_t>(i)];
    bool keep = i >= size - keep_last || (spec.keep_best() && &checkpoint == best);
    if (spec.keep_every_steps() > 0) {
      const int64_t multiple = checkpoint.name.step / spec.keep_every_steps();
      if (first_of.insert({checkpoint.name.timeline, multiple}).second) keep = true;
    }
    if (!keep) to_remove.push_back(checkpoint);
  }
  return to_remove;
}

}  // namespace gradd
