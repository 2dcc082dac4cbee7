#include "core/run/run_course.h"

#include <utility>

namespace gradd {

bool RunCourse::Note(absl::Duration now) {
  if (std::exchange(moved_, Moves()) == moved_) return false;
  if (moved_) {
    stopped_for_ += now - stopped_at_;
  } else {
    stopped_at_ = now;
  }
  return true;
}

void RunCourse::GoOn(absl::Duration now) {
  over_ = record_.state() == v1::RUN_STATE_FINISHED;
  moved_ = Moves();
  stopped_at_ = now;
}

}  // namespace gradd
