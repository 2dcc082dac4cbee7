#ifndef GRADD_CORE_RUN_TIMELINES_H_
#define GRADD_CORE_RUN_TIMELINES_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/store/timeline.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The timelines of one run: the present one, and those that are to begin. Not thread safe.
class Timelines {
 public:
  // The first one, of a run that is new: its uid is made here.
  Timelines();

  const std::shared_ptr<const Timeline>& present() const { return present_; }

  // INVALID_ARGUMENT if the header names another run, with both uids.
  absl::Status CheckRun(const v1::PushHeader& header) const;
  // Whether a push whose header says its timeline was computed on another one than the present.
  bool IsForeign(const v1::PushHeader& header) const {
    return header.timeline() != present_->number;
  }

  // The next one is to begin, says `author`, as soon as it can.
  void Ask(std::string author) { asked_.push_back(std::move(author)); }
  // Who has asked since the last call, in that order.
  std::vector<std::string> TakeAsked() { return std::exchange(asked_, {}); }
  void BeginNext();

 private:
  std::shared_ptr<const Timeline> present_;
  std::vector<std::string> asked_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_TIMELINES_H_
