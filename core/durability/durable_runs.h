#ifndef GRADD_CORE_DURABILITY_DURABLE_RUNS_H_
#define GRADD_CORE_DURABILITY_DURABLE_RUNS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/executor.h"
#include "core/base/file_system.h"
#include "core/base/mutex.h"
#include "core/durability/checkpointer.h"
#include "core/durability/durable_log.h"
#include "core/durability/guard_rollback.h"
#include "core/durability/state_directory.h"
#include "core/run/run_registry.h"

namespace gradd {

// Sees to it that the runs of a registry, but for trials, outlive the server: in a state directory.
// Runs that are there already are recovered while others serve.
//
// Example:
//   auto kept = DurableRuns::Open(FileSystem::Real(), options, std::move(io), &registry);
//   (*kept)->Recover();
//   ...             // Serve, and call Tick().
//   (*kept)->Stop(absl::Seconds(8));
//
// Thread safe.
class DurableRuns {
 public:
  struct Options {
    std::string directory;
    // Most that the checkpoints of a run are written with.
    int64_t checkpoint_bytes_per_second = int64_t{256} << 20;
    // See Checkpointer::Options.
    std::function<void(const std::string& run_id, const std::string& path)> checkpoint_made;
  };

  // Takes the directory, and the ids of the runs in it. `io` does what waits for the disk; it and
  // `registry` outlive this. Before the registry has runs, and before it serves.
  static absl::StatusOr<std::unique_ptr<DurableRuns>> Open(FileSystem* files, Options options,
                                                           Executor* io, RunRegistry* registry);
  ~DurableRuns();

  // Begins to read the runs; returns at once.
  void Recover();

  // Makes checkpoints that are due, and tries again what failed. To be called about ten times a
  // second.
  void Tick();

  // Makes a last checkpoint of every run that has changed, if that takes no longer than `patience`,
  // and ends all logs: nothing that happens after it is kept. When no worker is connected any more.
  void Stop(absl::Duration patience);

  // Null if the run is not kept here, or not yet: a new one is from the next Tick() on.
  std::shared_ptr<Checkpointer> CheckpointerOf(const std::string& run_id) const;
  // Of this very run. Null if it is not kept here: it is a trial, or gone.
  std::shared_ptr<Checkpointer> CheckpointerOf(const std::shared_ptr<Run>& run);
  const StateDirectory& directory() const { return *directory_; }

 private:
  DurableRuns(Options options, std::unique_ptr<StateDirectory> directory,
              std::vector<std::string> found, Executor* io, RunRegistry* registry);

  std::shared_ptr<EventLog> OpenLog(const std::string& run_id);
  absl::Status RemoveFromDisk(const std::string& run_id);
  // `again`: people know already that there was no memory for them.
  void RecoverLater(std::vector<std::string> run_ids, bool again)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those for which there was no memory, once in a while.
  void RecoverPutOff(absl::Duration now);
  // The next of to_recover_, and so on: a task.
  void RecoverNext(bool again);
  void RecoverRun(const std::string& run_id, bool again);
  std::shared_ptr<Checkpointer> MakeCheckpointer(std::shared_ptr<Run> run,
                                                 std::shared_ptr<DurableLog> log);
  // False if that was not done by then, by the real clock's Elapsed().
  bool MakeLastCheckpoints(absl::Duration until);
  // Those of all runs; makes those that are missing.
  std::vector<std::shared_ptr<Checkpointer>> Checkpointers();
  // Also of runs that are being deleted.
  std::vector<std::shared_ptr<DurableLog>> Logs() const;

  const Options options_;
  const GuardRollback guard_;
  const std::shared_ptr<const StateDirectory> directory_;  // Shared with tasks.
  // Ids of the runs that were in it, to be recovered: those that come later are written already.
  const std::vector<std::string> found_;
  const std::shared_ptr<Executor> io_;
  RunRegistry& registry_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<std::string, std::weak_ptr<DurableLog>> logs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Checkpointer>> checkpointers_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> to_recover_ ABSL_GUARDED_BY(mutex_);
  int recovering_ ABSL_GUARDED_BY(mutex_) = 0;                // Tasks that do so.
  std::vector<std::string> put_off_ ABSL_GUARDED_BY(mutex_);  // For want of memory,
  absl::Duration put_off_at_ ABSL_GUARDED_BY(mutex_);         // at that time, the last of them.
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration retried_at_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_DURABLE_RUNS_H_
