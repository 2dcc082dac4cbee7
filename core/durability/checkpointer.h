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
#include "core/run/run_log.h"

namespace gradd {

// Gets the checkpoint that was made, or why it could not be.
using CheckpointReceiver = std::function<void(const absl::StatusOr<RunFolder::Checkpoint>&)>;

// When one run is written down as a whole, and how: it is captured between two steps, and written
// in slices by tasks of `io`, at most so many bytes a second. What is not to be kept any more goes
// then, and so does what the log has from before.
//
// Thread safe.
class Checkpointer : public std::enable_shared_from_this<Checkpointer> {
 public:
  struct Options {
    const Clock* clock = Clock::Real();
    RunLog* log = nullptr;  // What operators should know; may be null.
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
  // Begins the one without which the log is not durable, see EventLog::AwaitCheckpoint(), unless
  // one is on its way: that may be it, else Tick() sees to it.
  void BeginAwaited();
  // Makes none any more, and gives up the one on its way: whoever waits for one is told why.
  void Stop(const absl::Status& why);

  std::vector<KeptCheckpoint> checkpoints() const;
  // Unset before the first one.
  std::optional<KeptCheckpoint> newest() const;
  const std::shared_ptr<Run>& run() const { return run_; }
  const std::shared_ptr<DurableLog>& log() const { return log_; }
  absl::Status DeletedError() const;

 private:
  bool IsDue(const CheckpointFacts& facts, absl::Duration now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Captured(const absl::StatusOr<std::shared_ptr<const RunCapture>>& capture);
  // Writes until it is done, or ahead of its time; then Tick() goes on.
  void Write();
  void Complete(const absl::Status& status);
  void ShowSigns() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Failed(const absl::Status& why) const;
  void RemoveOld();

  const std::shared_ptr<Run> run_;
  const std::shared_ptr<DurableLog> log_;
  const Options options_;

  mutable Mutex mutex_;
  enum class Phase { kIdle, kCapturing, kWriting, kAhead };
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kIdle;
  DurabilitySigns signs_ ABSL_GUARDED_BY(mutex_);
  std::vector<KeptCheckpoint> checkpoints_ ABSL_GUARDED_BY(mutex_);
  std::vector<CheckpointReceiver> receivers_ ABSL_GUARDED_BY(mutex_);  // Of the next one.
  std::vector<CheckpointReceiver> awaiting_ ABSL_GUARDED_BY(mutex_);   // Of the one on its way.
  absl::Status stopped_ ABSL_GUARDED_BY(mutex_);
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
