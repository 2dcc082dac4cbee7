#ifndef GRADD_CORE_RUN_RECENT_EVENTS_H_
#define GRADD_CORE_RUN_RECENT_EVENTS_H_

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "core/base/mutex.h"
#include "core/run/event_log.h"

namespace gradd {

// An event log in memory, without the pushes, which forgets the oldest events: it keeps as many of
// the newest ones as take at most `most_bytes` when they are written down. Thread safe.
class RecentEvents final : public EventLog {
 public:
  explicit RecentEvents(size_t most_bytes) : most_bytes_(most_bytes) {}

  void Append(const state::v1::Event& event, Pushes /*pushes*/) override {
    std::string written = event.SerializeAsString();
    MutexLock lock(&mutex_);
    bytes_ += written.size();
    events_.push_back(std::move(written));
    for (; bytes_ > most_bytes_; events_.pop_front()) bytes_ -= events_.front().size();
  }

  // The oldest first.
  std::vector<state::v1::Event> All() const {
    MutexLock lock(&mutex_);
    std::vector<state::v1::Event> events(events_.size());
    for (size_t i = 0; i < events.size(); ++i) events[i].ParseFromString(events_[i]);
    return events;
  }

 private:
  const size_t most_bytes_;
  mutable Mutex mutex_;
  std::deque<std::string> events_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Of all of them.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RECENT_EVENTS_H_
