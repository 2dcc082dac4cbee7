#ifndef GRADD_SERVER_MEMORY_WATCH_H_
#define GRADD_SERVER_MEMORY_WATCH_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "core/base/memory_budget.h"
#include "core/run/run_log.h"

namespace gradd {

// Says once when memory comes near a limit; again only after it was well below for a while, since
// pushes come and go. Not thread safe.
class MemoryWatch {
 public:
  static constexpr double kNear = 0.9;       // Of a limit.
  static constexpr double kWellBelow = 0.7;  // Of a limit.
  static constexpr absl::Duration kCalm = absl::Minutes(1);

  // What of the budget has come near its limit since the last call; `now` is Clock::Elapsed().
  std::vector<LogEntry> Look(const MemoryBudget& budget, absl::Duration now);

 private:
  struct Seen {
    bool said = false;
    absl::Duration calm_since = absl::InfiniteDuration();  // Well below; infinite: it is not.
  };
  static bool ComesNear(int64_t taken, int64_t limit, absl::Duration now, Seen* seen);

  std::array<Seen, kMemoryUses> by_use_;
  Seen total_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_MEMORY_WATCH_H_
