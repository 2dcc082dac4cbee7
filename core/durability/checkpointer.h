#ifndef GRADD_CORE_DURABILITY_CHECKPOINTER_H_
#define GRADD_CORE_DURABILITY_CHECKPOINTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/mutex.h"
#include "core/durability/checkpoint_retention.h"
#include "core/durability/checkpoint_writer.h"
#include "core/durability/durable_log.h"
#include "core/run/run.h"

namespace gradd {

// Gets the checkpoint that was made, or why it could not be.
using CheckpointReceiver = std::function<void(const absl::StatusOr<RunFolder::Checkpoint>&)>;

// How the checkpoints of one run come out, for metrics and people. Times are by Clock::Elapsed().
struct CheckpointSigns {
  int64_t made = 0;
  int64_t failed = 0;
  std::optional<KeptCheckpoint> newest;
  std::optional<absl::Duration> newest_at;  // When it was captured; unset: by an earlier server.
  absl::Duration last_duration;             // From there until it was durable.
  int64_t last_bytes = 0;
  int64_t bytes_left = 0;   // Of the one that is being written.
  absl::Status last_error;  // Of the last attempt.
};

// When one run is written down as a whole, and how: it is captured between two steps, and written
// in slices by tasks of `io`, at most so many bytes a second. What is not to be kept any more goes
// then, and so does what the log has from before.
//
// Thread safe.
class Checkpointer : public std::enable_shared_from_this<Checkpointer> {
 public:
  struct Options {
    const Clock* clock = Clock::Real();
    std::shared_ptr<Executor> io;
    int64_t bytes_per_second = int64_t{256} << 20;
    // Is told of each that is made, on a thread of `io`; empty: nobody is.
    std::function<void(const std::string& run_id, const std::string& path)> made;
  };
  Checkpointer(std::shared_ptr<Run> run, std::shared_ptr<DurableLog> log, Options options);

  // The run goes on from what an earlier server has kept, the newest one last.
  void GoOnFrom(std::vector<KeptCheckpoint> checkpoints);

  // Makes one if it is due. To be called about ten times a second.
  void Tick();
  // Makes one in any case, unless the run has not changed since the last one, which then is it.
  void Request(CheckpointReceiver receive);

  std::vector<KeptCheckpoint> checkpoints() const;
  CheckpointSigns signs() const;
  const std::shared_ptr<Run>& run() const { return run_; }
  const std::shared_ptr<DurableLog>& log() const { return log_; }

 private:
  bool IsDue(const CheckpointFacts& facts, absl::Duration now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Captured(const absl::StatusOr<std::shared_ptr<const RunCapture>>& capture);
  // Writes until it is done, or ahead of its time; then Tick() goes on.
  void Write();
  void Complete(const absl::Status& status);
  void RemoveOld();
  absl::Status DeletedError() const;

  const std::shared_ptr<Run> run_;
  const std::shared_ptr<DurableLog> log_;
  const Options options_;

  mutable Mutex mutex_;
  enum class Phase { kIdle, kCapturing, kWriting, kAhead };
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kIdle;
  CheckpointSigns signs_ ABSL_GUARDED_BY(mutex_);
  std::vector<KeptCheckpoint> checkpoints_ ABSL_GUARDED_BY(mutex_);
  std::vector<CheckpointReceiver> receivers_ ABSL_GUARDED_BY(mutex_);  // Of the next one.
  std::vector<CheckpointReceiver> awaiting_ ABSL_GUARDED_BY(mutex_);   // Of the one on its way.
  absl::Duration begun_at_ ABSL_GUARDED_BY(mutex_);
  absl::Duration retry_at_ ABSL_GUARDED_BY(mutex_);
  CheckpointFacts last_facts_ ABSL_GUARDED_BY(mutex_);  // When the newest one was captured.

  // Of the one that is being written, and its task.
  std::unique_ptr<CheckpointWriter> writer_;
  KeptCheckpoint writing_;
  absl::Duration write_begun_at_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKPOINTER_H_
