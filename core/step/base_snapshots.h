#ifndef GRADD_CORE_STEP_BASE_SNAPSHOTS_H_
#define GRADD_CORE_STEP_BASE_SNAPSHOTS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "core/store/snapshot.h"

namespace gradd {

// What workers trained at, after each of the last steps: gradients are corrected for what has
// changed since. Not thread safe.
class BaseSnapshots {
 public:
  // What these take at most, with one that is no longer kept, and is still in use.
  static int64_t BytesFor(int64_t steps, int64_t elements) {
    return steps == 0 ? 0 : (steps + 1) * elements * int64_t{sizeof(float)};
  }

  // Keeps the newest `steps` from now on.
  void Keep(int64_t steps) {
    most_ = static_cast<size_t>(steps);
    DropOld();
  }
  int64_t kept_steps() const { return static_cast<int64_t>(most_); }

  // The newest one: of the step after that of the last one, or the same.
  void Add(std::shared_ptr<const Snapshot> snapshot) {
    if (!snapshots_.empty() && snapshots_.back()->step == snapshot->step) snapshots_.pop_back();
    snapshots_.push_back(std::move(snapshot));
    DropOld();
  }
  // Null if it is not kept.
  std::shared_ptr<const Snapshot> Find(int64_t step) const {
    if (snapshots_.empty() || step < snapshots_.front()->step) return nullptr;
    const auto index = static_cast<size_t>(step - snapshots_.front()->step);
    return index < snapshots_.size() ? snapshots_[index] : nullptr;
  }
  // The oldest step that is kept; `none` where there is none.
  int64_t oldest(int64_t none) const {
    return snapshots_.empty() ? none : snapshots_.front()->step;
  }

 private:
  void DropOld() {
    while (snapshots_.size() > most_) snapshots_.pop_front();
  }

  size_t most_ = 0;
  std::deque<std::shared_ptr<const Snapshot>> snapshots_;
};

}  // namespace gradd

#endif  // GRADD_CORE_STEP_BASE_SNAPSHOTS_H_
