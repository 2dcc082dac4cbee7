#ifndef GRADD_CORE_RUN_RUN_PAST_H_
#define GRADD_CORE_RUN_RUN_PAST_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "gradd/state/v1/run_state.pb.h"

namespace gradd {

// How a run came to where it is: the timelines behind it, and how far each of them counts. What was
// given up is not in it. Not thread safe.
class RunPast {
 public:
  // Timelines that are remembered, the last ones.
  static constexpr size_t kMost = 1000;

  // A timeline begins after `step` steps.
  void Begin(uint64_t timeline, int64_t step) {
    state::v1::TimelineStart start;
    start.set_timeline(timeline);
    start.set_step(step);
    starts_.push_back(std::move(start));
    if (starts_.size() > kMost) starts_.pop_front();
  }

  // Whether the run has come by that step of that timeline.
  bool Has(uint64_t timeline, int64_t step) const {
    auto next = starts_.begin();
    int64_t begin = 0;
    if (timeline != 1) {
      next = std::find_if(starts_.begin(), starts_.end(),
                          [timeline](const auto& start) { return start.timeline() == timeline; });
      if (next == starts_.end()) return false;
      begin = next->step();
      ++next;
    }
    return begin <= step && (next == starts_.end() || step <= next->step());
  }

  using Starts = google::protobuf::RepeatedPtrField<state::v1::TimelineStart>;
  void Write(Starts* starts) const { *starts = {starts_.begin(), starts_.end()}; }
  // INVALID_ARGUMENT if no run can have come that way.
  absl::Status Read(const Starts& starts) {
    starts_.clear();
    uint64_t last = 1;
    for (const state::v1::TimelineStart& start : starts) {
      if (start.timeline() <= last || start.step() < 0) {
        return InvalidArgument("STATE_INVALID",
                               absl::StrCat("past: timeline ", start.timeline(), " begins at step ",
                                            start.step(), " and comes after timeline ", last));
      }
      last = start.timeline();
      Begin(start.timeline(), start.step());
    }
    return absl::OkStatus();
  }

 private:
  std::deque<state::v1::TimelineStart> starts_;  // Of all but the first one.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_PAST_H_
