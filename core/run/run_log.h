#ifndef GRADD_CORE_RUN_RUN_LOG_H_
#define GRADD_CORE_RUN_RUN_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace gradd {

// Something that an operator should know: what happened, and to whom.
struct LogEntry {
  enum class Level { kInfo, kWarning };
  using Fields = std::vector<std::pair<std::string, std::string>>;

  Level level = Level::kInfo;
  std::string event;  // `worker lost`.
  Fields fields;      // In the order in which they are shown, `run` and `worker` first.

  // `worker lost: run=mnist worker=w1 reason="its lease of 15s ended"`. Always one line.
  std::string Line() const;
};

// `event: key=value key="two words"`, as all lines of the server's log are.
std::string LogLine(absl::string_view event, const LogEntry::Fields& fields);

// What happens in runs, until the server takes it and writes it to its log. Adding an entry takes a
// microsecond and waits for nothing, so a run may do it with its lock held. Thread safe.
class RunLog {
 public:
  // More than that and entries are counted instead of kept.
  static constexpr size_t kMostEntries = 1000;
  // Entries that are limited come once in so long.
  static constexpr absl::Duration kInterval = absl::Seconds(10);

  void Add(LogEntry entry) { Keep(std::move(entry)); }
  // For what may happen many times a second. Of entries with the same `kind` the first is kept at
  // once; how many came since then is said by `repeated` of the next one, kInterval later. `now` is
  // Clock::Elapsed().
  void AddLimited(const std::string& kind, absl::Duration now, LogEntry entry);

  // What came since the last call, in order.
  std::vector<LogEntry> Take(absl::Duration now);

 private:
  struct Limited {
    absl::Duration kept_at;
    int64_t repeated = 0;
    LogEntry last;
  };
  void Keep(LogEntry entry);
  void KeepLocked(LogEntry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  std::deque<LogEntry> entries_ ABSL_GUARDED_BY(mutex_);
  int64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Limited> limited_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_LOG_H_
