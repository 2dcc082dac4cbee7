#ifndef GRADD_CORE_RUN_RUN_REGISTRY_H_
#define GRADD_CORE_RUN_RUN_REGISTRY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "core/base/executor.h"
#include "core/base/memory_budget.h"
#include "core/base/mutex.h"
#include "core/run/callers.h"
#include "core/run/limits.h"
#include "core/run/run.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// All runs of a server, and what they share. Thread safe.
class RunRegistry {
 public:
  // `pool` applies steps. `block_elements` is a multiple of kTileElements.
  RunRegistry(const Limits& limits, std::unique_ptr<Executor> pool,
              const Clock* clock = Clock::Real(), int64_t block_elements = kBlockElements);
  // With a ThreadPool of so many threads.
  RunRegistry(const Limits& limits, int threads, const Clock* clock = Clock::Real(),
              int64_t block_elements = kBlockElements);
  ~RunRegistry();

  // Creates a run, at the parameters of `origin` where there is one. With a non-empty `request_id`,
  // a run that the same request has created before is returned instead. Takes time in proportion to
  // the parameters.
  // RESOURCE_EXHAUSTED, with nothing changed, at a limit or where the memory ends.
  absl::StatusOr<std::shared_ptr<Run>> Create(const std::string& run_id, const v1::Run& spec,
                                              const std::string& request_id,
                                              const RunOrigin* origin = nullptr,
                                              bool* is_new = nullptr);

  // What Create() would answer without making anything: the run that the same request has created
  // before; null where it would make one, if nobody else does before it.
  absl::StatusOr<std::shared_ptr<Run>> FindCreated(const std::string& run_id,
                                                   const std::string& request_id) const;

  // The run of the resource name `runs/{run_id}`.
  absl::StatusOr<std::shared_ptr<Run>> Find(absl::string_view name) const;

  // Removes the run and ends its sessions. FAILED_PRECONDITION: it is a trial. Takes time in
  // proportion to the parameters where nobody else uses them any more. `deleted` is told when that
  // is durable, or why it cannot be, within this call or on some thread; the result is what is
  // known of it by now. Until it is durable, nobody gets the run's id. A run that could not be
  // deleted is damaged, and may be deleted again.
  using Deleted = std::function<void(const absl::Status&)>;
  absl::Status Delete(absl::string_view name, Deleted deleted = nullptr);
  // The same for this very run, unless that has happened before.
  void Remove(Run* run, Deleted deleted = nullptr);

  // In the order of their ids.
  std::vector<std::shared_ptr<Run>> All() const;
  // Those that cannot be used: they are being recovered, or damaged. As people are told of them.
  std::vector<v1::Run> Unusable() const;

  // ---- Recovery of what earlier servers have kept. ----

  // The run id is that of a run which is being recovered: nobody else may have it. Before the
  // server serves.
  void BeginRecovery(const std::string& run_id);
  // How far that is, for people: `read 1.2 of 3.4 GB`.
  void NoteRecovery(const std::string& run_id, std::string progress);
  // Creates the run, which goes on from `origin`. Nobody else has it before EndRecovery().
  absl::StatusOr<std::shared_ptr<Run>> Restore(const std::string& run_id, const v1::Run& spec,
                                               const RunOrigin& origin);
  // The run is there, or is damaged for what the status says; then it can only be deleted.
  void EndRecovery(const std::string& run_id, absl::StatusOr<std::shared_ptr<Run>> run);
  // The run cannot be read now, as `why` says to people: its recovery goes on with
  // GoOnWithRecovery(); until then the run can be deleted. False from that: it was.
  void PutOffRecovery(const std::string& run_id, std::string why);
  bool GoOnWithRecovery(const std::string& run_id);
  // There is no such run.
  void ForgetRecovery(const std::string& run_id);

  // Grows whenever a run was created or removed, a trial's included.
  int64_t changes() const;
  // Waits until that is no longer `seen`.
  void AwaitChange(int64_t seen);

  // See Run::Tick() and kTickInterval.
  void Tick();
  // What is to happen between two of them.
  Alarms& alarms() { return *environment_.alarms; }

  // Stops: no run is created any more, see Run::Drain().
  void Drain();
  bool draining() const;
  // Ends the sessions that are left.
  void EndAllSessions();

  // Where the events of runs that are created from now on go; before there is any other thread. See
  // RunEnvironment.
  void SetEventLogs(decltype(RunEnvironment::open_log) open) {
    environment_.open_log = std::move(open);
  }
  // How what is kept of a run goes that could not be recovered, likewise.
  void SetRemoveFromDisk(std::function<absl::Status(const std::string& run_id)> remove) {
    remove_from_disk_ = std::move(remove);
  }

  const RunEnvironment& environment() const { return environment_; }
  const Clock& clock() const { return *environment_.clock; }
  const Limits& limits() const { return environment_.limits; }
  // What happens in the runs; whoever has a log takes it from there.
  RunLog* log() { return environment_.log.get(); }
  Executor* pool() { return pool_.get(); }
  Callers& callers() { return callers_; }
  const std::shared_ptr<VersionReaders>& readers() { return environment_.readers; }
  const MemoryBudget& budget() const { return *environment_.budget; }
  MemoryBudget& budget() { return *environment_.budget; }
  int64_t claimed_bytes() const { return budget().taken_bytes(MemoryUse::kStaging); }
  int64_t shared_bytes() const { return budget().taken_bytes(MemoryUse::kShared); }

 private:
  struct Entry {
    std::shared_ptr<Run> run;  // Null while the run cannot be used.
    std::string request_id;
    bool is_trial = false;
    enum class Phase { kCreating, kRecovering, kPutOff, kUsable, kDamaged, kDeleting };
    Phase phase = Phase::kCreating;
    std::string text;  // Of a run that is kept and not usable: what people are told.
    // It was to be recovered, and is not.
    bool IsLeftOnDisk() const { return phase == Phase::kPutOff || phase == Phase::kDamaged; }
  };
  // Why that run cannot be found.
  static absl::Status UnusableError(const std::string& run_id, const Entry& entry);
  // Deletes a run that IsLeftOnDisk(); unset if it is none.
  std::optional<absl::Status> DeleteFromDisk(const std::string& run_id);
  // What comes of the deletion of a run whose log says this.
  absl::Status EndDeletion(const std::string& run_id, const absl::Status& durable);
  // Whether the run id can be kept, or the run that the same request has created.
  absl::StatusOr<std::shared_ptr<Run>> FindFree(const std::string& run_id,
                                                const std::string& request_id, bool is_trial) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Keeps the run id, or finds the run that the same request has created.
  absl::Status Reserve(const std::string& run_id, const std::string& request_id, bool is_trial,
                       std::shared_ptr<Run>* existing);

  RunEnvironment environment_;
  std::function<absl::Status(const std::string& run_id)> remove_from_disk_;
  Callers callers_;
  mutable Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Entry> runs_ ABSL_GUARDED_BY(mutex_);
  int64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  CondVar changed_;
  // Last, so that its threads end before what they use.
  const std::unique_ptr<Executor> pool_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_REGISTRY_H_
