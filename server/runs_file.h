#ifndef GRADD_SERVER_RUNS_FILE_H_
#define GRADD_SERVER_RUNS_FILE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace gradd {

// What a server writes down now and then of the runs in its memory, so that the next one can say
// what was lost with it. They cannot be taken up again from it: it has their names and steps only.
struct RunsRecord {
  struct Run {
    std::string run_id;
    int64_t step = 0;
    bool operator==(const Run& other) const { return run_id == other.run_id && step == other.step; }
  };
  absl::Time since;      // The server's start.
  absl::Time at;         // When this was written.
  bool stopped = false;  // By a signal, in order; else the server was killed, or still runs.
  std::vector<Run> runs;
};

// As lines of text, `runs/{run_id} {step}` after a head; and back. INVALID_ARGUMENT for anything
// else.
std::string FormatRunsRecord(const RunsRecord& record);
absl::StatusOr<RunsRecord> ParseRunsRecord(const std::string& text);

// NOT_FOUND if there is no file.
absl::StatusOr<RunsRecord> ReadRunsFile(const std::string& path);

// The file that a server writes, in place of what is there and at once: nobody reads half of it.
// Thread safe.
class RunsFile {
 public:
  // `path` empty: none is written.
  explicit RunsFile(std::string path) : path_(std::move(path)) {}

  // Asks for what is the case when it is this call's turn: a record never follows a later one. What
  // would be the same but for its time is not written again; nothing is after End().
  absl::Status Write(const std::function<RunsRecord()>& now);
  // Writes the last one.
  absl::Status End(const RunsRecord& record);

 private:
  absl::Status WriteLocked(const RunsRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<std::vector<RunsRecord::Run>> written_ ABSL_GUARDED_BY(mutex_);
};

// When the file is due: at once when runs have come or gone, though not more often than every
// kLeastInterval, so that a server that is killed has written what was in its memory; and every
// kInterval for the steps of the runs. Not thread safe.
class RunsFileSchedule {
 public:
  static constexpr absl::Duration kLeastInterval = absl::Milliseconds(500);
  static constexpr absl::Duration kInterval = absl::Seconds(5);

  // Whether it is due at `now`, by Clock::Elapsed(), where runs have come and gone `changes` times.
  // It counts as written then.
  bool Due(absl::Duration now, int64_t changes);

 private:
  absl::Duration written_at_ = -absl::InfiniteDuration();
  int64_t changes_ = -1;  // As it was written.
};

// What the server after that one says about it: empty if nothing is lost. Names ten runs at most.
std::string LostRunsText(const RunsRecord& record);

// Where the server at address `listen` writes it unless told otherwise: below $XDG_STATE_HOME, or
// ~/.local/state. Empty if there is no such place, or if any port will do, so that the next server
// will be elsewhere.
std::string DefaultRunsFile(const std::string& listen);

}  // namespace gradd

#endif  // GRADD_SERVER_RUNS_FILE_H_
