#ifndef GRADD_CORE_RUN_WORKER_SESSION_H_
#define GRADD_CORE_RUN_WORKER_SESSION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/base/shared_region.h"
#include "core/run/float16_counts.h"
#include "core/run/session_sink.h"
#include "core/run/staging_room.h"
#include "core/store/payload.h"
#include "core/sync/staged_push.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

class GatedSink;
class SessionHost;
class RunRegistry;
class WorkerSession;
using SessionPtr = std::shared_ptr<WorkerSession>;

// What is to be done with a push.
enum class PushAdmission {
  kStage,
  kHold,        // Not now; the session is retried when that may have changed.
  kDuplicate,   // Its sequence is known already.
  kSuperseded,  // Its step happened before it began.
  kSkipped,     // It is not finite.
  kRolledBack,  // It was computed from parameters that the run does not have any more.
  kResend,      // Others needed its room: it is to be pushed again.
  kAborted,     // Its worker took it back.
  kBatchUsed,   // A batch of it is used up already.
};

// One worker's stream: the order of its requests, and the push that is coming in. What
// they mean for the run is decided by Run.
//
// Thread safety: any thread may call; but no request may be handled between a false return
// of Handle() and SessionSink::ResumeReading().
class WorkerSession : public std::enable_shared_from_this<WorkerSession> {
 public:
  // `sink` must live until Disconnected() has returned. `address` is the peer's, for people.
  WorkerSession(RunRegistry* registry, SessionSink* sink, std::string address);

  // Takes one request, with the chunk's data apart. Returns false if it has to wait (for
  // room to stage it, or for an earlier push): no further one may be handled until
  // the sink is told to resume.
  [[nodiscard]] bool Handle(v1::TrainRequest request, Payload data);

  // The peer takes the parameters that were sent last: a sign of life.
  void ParametersMove();
  // They are on their way, all of them.
  void ParametersSent();
  // A chunk of them is FLOAT32, since the session's encoding has not its range. May be called with
  // any lock held.
  void NoteWidenedChunk() {
    if (float16_ != nullptr) float16_->CountWidened();
  }

  // The peer sends nothing more. The stream ends when it has what it waits for.
  void HalfClosed();

  // The stream is gone. The worker stays a member until its lease ends. The sink is not used
  // any more when this returns.
  void Disconnected();

  // ---- For the run that was joined. ----

  // What Run keeps about this session, guarded by the run's mutex from the join on;
  // before it, only one thread knows them.
  struct State {
    SessionSink* sink = nullptr;       // Null once the stream has ended.
    std::shared_ptr<GatedSink> gated;  // What `sink` is, from the join on.
    std::string worker;
    uint64_t instance = 0;
    v1::Encoding parameter_encoding = v1::ENCODING_FLOAT32;
    bool parameters_before_result = false;
    uint64_t timeline = 0;            // As its welcome said.
    bool sends_timelines = false;     // It says so, or has sent one.
    bool held = false;                // A request waits for SessionHost::BeginPush().
    bool receiving = false;           // A push has begun and is not committed.
    bool skips = false;               // It is to be skipped.
    bool half_closed = false;         // No request will come any more.
    int64_t wants_batches = 0;        // It has asked for so many, and waits for them.
    bool waited_for_batches = false;  // There were none when it asked.
    int parameters_on_way = 0;        // Promised, and not all has left.
    bool held_back = false;           // Of these, the last ones wait for slower workers.
    int64_t parameters_step = 0;      // Of the last such call.
    // Since when they could leave, all of them; in the infinite future while their step is applied.
    absl::Duration parameters_due_at;
    StagingRoom::Claim claim;                // For the push that is held or coming in.
    bool loses_room = false;                 // DropForRoom() will run.
    int drops = 0;                           // How often the push that is coming in lost its room.
    std::shared_ptr<SharedRegion> gradient;  // Written by the worker; null: not shared.
    std::shared_ptr<const void> gradient_quota;
  };
  State& state() { return state_; }
  const State& state() const { return state_; }
  // The peer's, for people.
  const std::string& address() const { return address_; }

  // The worker is alive now.
  void RenewLease();
  // The last sign of life, by Clock::Elapsed().
  absl::Duration last_sign() const { return absl::Nanoseconds(last_sign_ns_.load()); }
  // Handles the request that had to wait, if it can go on now. Not with the run's lock held.
  void RetryHeld();
  // Lets go of what was staged of a push that cannot become part of a step any more, see
  // SessionHost::ReturnIfInVain(): it is answered when it is complete. Not with the run's lock
  // held.
  void DropIfInVain();
  // The same for a push whose room others need; its worker is told to push it again.
  void DropForRoom();
  // When enough of the push that is coming in last came, by Clock::Elapsed(): some 64 KiB, or a
  // sixteenth of it.
  absl::Duration last_part() const { return absl::Nanoseconds(last_part_ns_.load()); }
  // Where to count what float16 has no room for. Set once, by the join.
  void SetFloat16(std::shared_ptr<WorkerFloat16> counts) { float16_ = std::move(counts); }

 private:
  // What becomes of the chunks of the push that is coming in.
  enum class Incoming {
    kNone,      // No push is coming in.
    kStaged,    // They are staged.
    kIgnored,   // They are ignored, for what admission_ says.
    kRejected,  // They are ignored: the rejection is sent.
  };

  bool Dispatch(v1::TrainRequest request, Payload data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HandlePush(v1::TrainRequest request, Payload data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A part of a push came, with so many bytes of a gradient.
  void NoteProgress(const v1::Push& push, size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleChunk(const v1::Push& push, Payload data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HandleAbort(const v1::AbortPush& abort) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes in what the message carries of a gradient.
  absl::Status Stage(const v1::Push& push, Payload data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What was staged is not right: the push is skipped, or refused.
  void SkipOrReject(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reject(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndWith(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  RunRegistry* const registry_;
  const std::string address_;
  std::atomic<int64_t> last_sign_ns_{0};  // Clock::Elapsed() of the last sign of life.
  std::atomic<int64_t> last_part_ns_{0};
  std::shared_ptr<WorkerFloat16> float16_;  // The worker's; set by the join.

  // Taken before the run's mutex.
  Mutex mutex_;
  std::shared_ptr<SessionHost> run_ ABSL_GUARDED_BY(mutex_);  // Set by the join.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  Incoming incoming_ ABSL_GUARDED_BY(mutex_) = Incoming::kNone;
  PushAdmission admission_ ABSL_GUARDED_BY(mutex_) = PushAdmission::kStage;
  std::shared_ptr<StagedPush> staged_ ABSL_GUARDED_BY(mutex_);
  v1::PushHeader header_ ABSL_GUARDED_BY(mutex_);      // Of the push that is coming in.
  size_t progress_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Since last_part().
  absl::Duration begun_at_ ABSL_GUARDED_BY(mutex_);
  absl::Duration staging_time_ ABSL_GUARDED_BY(mutex_);
  struct Held {
    v1::TrainRequest request;
    Payload data;
  };
  std::optional<Held> held_ ABSL_GUARDED_BY(mutex_);

  State state_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_WORKER_SESSION_H_
