#ifndef GRADD_CORE_MEMBERS_DEPARTURES_H_
#define GRADD_CORE_MEMBERS_DEPARTURES_H_

#include <algorithm>
#include <cstddef>
#include <deque>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace gradd {

// A worker that is no member any more.
struct Departure {
  std::string worker;
  bool said_so = false;  // It left; otherwise its lease ended.
  absl::Duration at;     // In the time of whoever keeps it.
  // Its lease ended since it did not read the parameters that were sent to it.
  bool unread = false;
};

// The last workers that went, for people who look for them. Not thread safe.
class Departures {
 public:
  static constexpr size_t kMost = 8;

  // The newest one.
  void Add(Departure departure) {
    Forget(departure.worker);
    departures_.push_front(std::move(departure));
    if (departures_.size() > kMost) departures_.pop_back();
  }
  // It is there again.
  void Forget(const std::string& worker) {
    departures_.erase(std::remove_if(departures_.begin(), departures_.end(),
                                     [&](const Departure& gone) { return gone.worker == worker; }),
                      departures_.end());
  }

  // The newest first.
  const std::deque<Departure>& all() const { return departures_; }

 private:
  std::deque<Departure> departures_;
};

}  // namespace gradd

#endif  // GRADD_CORE_MEMBERS_DEPARTURES_H_
