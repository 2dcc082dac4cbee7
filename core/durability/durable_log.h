#ifndef GRADD_CORE_DURABILITY_DURABLE_LOG_H_
#define GRADD_CORE_DURABILITY_DURABLE_LOG_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/executor.h"
#include "core/base/file_system.h"
#include "core/base/mutex.h"
#include "core/durability/log_segment.h"
#include "core/durability/run_folder.h"
#include "core/run/event_log.h"
#include "gradd/state/v1/log.pb.h"

namespace gradd {

// The log of one run in its folder. Control events (IsControlEvent()) are always in it; the others
// where the run's spec says `journal`, and only then their durability is waited for.
//
// What was appended is written by a task of `io`, everything that has come meanwhile at once, with
// one sync. The folder itself comes with the event that the run was created, and goes with the one
// that it was deleted: it is renamed before that is durable, and removed in its own time.
//
// A disk without room is waited for: Retry(). After any other error the log is at an end, as
// failure() says: what a failed sync has left is not known, and another one would not say.
//
// Thread safe.
class DurableLog final : public EventLog, public std::enable_shared_from_this<DurableLog> {
 public:
  // Where a log goes on; as it is, that of a new run.
  struct Position {
    int64_t segment = 1;         // That it writes next.
    int64_t previous_bytes = 0;  // See LogHeader.
    bool journal = false;        // Of the run's spec.
    std::string run_uid;
    uint64_t timeline = 1;
    int64_t last_event = 0;  // Before it.
  };
  DurableLog(std::shared_ptr<const RunFolder> folder, std::shared_ptr<Executor> io);

  // Goes on there: before anything else.
  void GoOn(Position position);
  // Nothing is told before a new segment has begun, so that the end of the one before no longer
  // says that nothing is missing: for a run that goes on without a journal. Before Start().
  void AwaitSegment();
  // Begins to write. What was appended before is written all at once: all of it is there, or
  // nothing.
  void Start();

  void Append(const state::v1::Event& event, Pushes pushes) override;
  void AwaitCheckpoint(int64_t event) override;
  bool keeps() const override { return true; }
  int64_t durable() const override { return durable_.load(std::memory_order_acquire); }
  int64_t written() const override { return written_.load(std::memory_order_acquire); }
  absl::Status failure() const override;
  bool waits_for_room() const override;
  std::optional<DurabilitySigns> signs() const override;
  void SetListener(const std::function<void()>& moved) override;

  void BeginSegment() override;
  // A checkpoint with all events up to that one is durable.
  void CheckpointMade(int64_t event);
  // One could not be made.
  void CheckpointFailed(const absl::Status& why);
  // What is known of checkpoints, for signs().
  void SetCheckpointSigns(const DurabilitySigns& signs);
  // Nothing that is appended from now on is written: the server stops. `complete`: nothing is
  // missing, since the newest checkpoint has all events, or the log has; that is written down.
  // `done` is called when all is written, or cannot be.
  void Close(bool complete, std::function<void()> done);
  // Tries again where there was no room. To be called about once a second.
  void Retry();

  // Calls `use`, which may change files of the run. False, and nothing is called, if the run is
  // deleted: then the folder may be that of another one already. It is not taken away meanwhile.
  bool UseFolder(const std::function<void(const RunFolder&)>& use) const;

  // Somebody else takes the folder away.
  void LeaveFolder() {
    MutexLock lock(&folder_mutex_);
    left_folder_ = true;
  }

  bool awaits_checkpoint() const {
    MutexLock lock(&mutex_);
    return !awaited_.empty();
  }
  // Bytes written since the last BeginSegment().
  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  const RunFolder& folder() const { return *folder_; }

 private:
  struct Item {
    enum class Kind { kEvent, kBeginSegment, kOpenSegment, kComplete };
    Kind kind = Kind::kEvent;
    int64_t last_event = 0;         // The run's, with this.
    state::v1::LoggedEvent logged;  // kEvent.
    std::vector<std::shared_ptr<const StagedPush>> pushes;
  };

  // Writes all that waits, and again what has come since.
  void WriteAll();
  // Takes out what was written.
  absl::Status Write(std::deque<Item>* items);
  absl::Status WriteItem(const Item& item);
  absl::Status WriteEvent(const Item& item);
  absl::Status OpenSegment();
  // `complete`: see LogEnd.
  absl::Status CloseSegment(bool complete);
  // `retries`: also where there was no room.
  void ScheduleWrite(bool retries = false) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nothing more is written, since the server stops.
  void StopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateWritten() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateDurable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<const RunFolder> folder_;
  const std::shared_ptr<Executor> io_;

  mutable Mutex folder_mutex_;  // Held while files are written; comes before mutex_.
  bool left_folder_ ABSL_GUARDED_BY(folder_mutex_) = false;

  std::atomic<int64_t> durable_{0};
  std::atomic<int64_t> written_{0};
  std::atomic<int64_t> bytes_{0};

  mutable Mutex mutex_;
  std::function<void()> moved_ ABSL_GUARDED_BY(mutex_);
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // Write() runs, or will.
  // Also while it is tried again.
  bool waits_for_room_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status fault_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_deleted_ ABSL_GUARDED_BY(mutex_) = false;  // The deletion is the last item, or written.
  bool journal_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t appended_ ABSL_GUARDED_BY(mutex_) = 0;  // Number of the last event.
  // Events that a checkpoint has to have before they are told of, in their order.
  std::deque<int64_t> awaited_ ABSL_GUARDED_BY(mutex_);
  bool checkpoint_lacks_room_ ABSL_GUARDED_BY(mutex_) = false;
  DurabilitySigns signs_ ABSL_GUARDED_BY(mutex_);
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  std::deque<int64_t> unwritten_ ABSL_GUARDED_BY(mutex_);  // Logged, and not written yet.
  std::deque<int64_t> pending_ ABSL_GUARDED_BY(mutex_);    // Logged, and not durable yet.
  std::function<void()> when_closed_ ABSL_GUARDED_BY(mutex_);

  // Of the writing task.
  std::unique_ptr<LogSegment> segment_;  // Null: the next event begins one.
  Position position_;                    // Where that one is.
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_DURABLE_LOG_H_
