#ifndef GRADD_CLIENT_SESSION_THREAD_H_
#define GRADD_CLIENT_SESSION_THREAD_H_

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/joining.h"
#include "client/leased_batches.h"
#include "client/push_machine.h"
#include "client/receive_buffer_pin.h"
#include "client/retry.h"
#include "client/session.h"
#include "client/session_exchange.h"
#include "client/train_stream.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/store/payload.h"

namespace gradd {

// The thread of a session. It polls one completion queue and puts three state machines together,
// none of which knows of the others:
//
//   TrainStream   one gRPC call: opened, read, written, ended
//   Retry         when to open the next one, and when to give up
//   PushMachine   the push in flight: what to send of it, and what an answer means
//
// lets Joining say what to make of a welcome, and gets the orders of the user's threads, and tells
// them what became of these, by SessionExchange. A small push is begun by the user's thread itself,
// if this one only waits for the server: that is sooner than to wake it.
class SessionThread {
 public:
  // Begins to connect. `receive_buffers` outlives it.
  SessionThread(SessionOptions options, ReceiveBufferPin* receive_buffers);
  // Ends the stream and the thread; a push in flight fails with CANCELLED.
  ~SessionThread();

  // Thread safe.
  const SessionOptions& options() const { return options_; }
  // `runs/{run_id}`.
  const std::string& run() const { return joining_.run(); }
  // Once the exchange says that the session is open.
  const Joining::Facts& facts() const { return joining_.facts(); }
  SessionExchange& exchange() { return exchange_; }
  // See SessionExchange.
  void Push(PushOrder order);
  const SessionExchange& exchange() const { return exchange_; }
  LeasedBatches& batches() { return batches_; }
  bool shares_memory() const { return shares_memory_.load(); }
  int64_t saturated_elements() const { return saturated_elements_.load(); }
  // See Session::timeline(). Parameters of that timeline have come; 0: it is not known.
  uint64_t timeline() const { return timeline_.load(); }
  void NoteTimeline(uint64_t timeline) {
    if (timeline != 0) timeline_.store(timeline);
  }

 private:
  // What the thread is about.
  enum class Course {
    kServe,  // Have a session, and regain it when it is lost.
    kLeave,  // `leave` is on its way. The stream's end, as the answer, is awaited.
    kOver,   // Left, failed or closed. The last stream may have yet to end.
  };

  void Run();
  // How long to wait for something to happen. Unset: all is over.
  std::optional<absl::Duration> TimeToWait();
  // When something is due although nothing happens.
  absl::Duration NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleOrders(SessionExchange::Orders orders) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BeginLeave() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The order to leave is carried out, or cannot be, as `status` says.
  void EndLeave(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OpenStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStreamEvent(TrainStream::Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnStreamEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OnReceived(const grpc::ByteBuffer& bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleResponse(const v1::TrainResponse& response, const Payload& data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleWelcome(const v1::Welcome& welcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleEvent(const v1::RunEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Asks for batches, on a stream that is welcome, where some are wanted.
  void RequestBatches() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins the push that waits, if there is one and it can; on a stream that is welcome.
  void BeginPush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(PushMachine::Action action) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CompletePush(absl::StatusOr<PushReport> result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteBatches(const absl::StatusOr<PushReport>& result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteSaturated() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives up: nothing can be done any more.
  void Fail(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BreakProtocol(absl::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Log(const std::string& line) const;

  const SessionOptions options_;
  const Clock* const clock_ = Clock::Real();
  ReceiveBufferPin* const receive_buffers_;

  std::atomic<bool> shares_memory_{false};  // The last push.
  std::atomic<int64_t> saturated_elements_{0};
  std::atomic<uint64_t> timeline_{0};

  grpc::CompletionQueue queue_;  // Polled by the thread alone.
  Joining joining_;              // Set by the thread alone, before the session is open.

  // Held while something is handled, and not while the thread waits.
  Mutex mutex_;
  Course course_ ABSL_GUARDED_BY(mutex_) = Course::kServe;
  std::unique_ptr<TrainStream> stream_ ABSL_GUARDED_BY(mutex_);
  bool welcome_ ABSL_GUARDED_BY(mutex_) = false;  // On this stream.
  Retry retry_ ABSL_GUARDED_BY(mutex_);
  PushMachine push_ ABSL_GUARDED_BY(mutex_);
  absl::Duration reconnect_at_ ABSL_GUARDED_BY(mutex_);  // Where there is no stream.
  absl::Duration welcome_by_ ABSL_GUARDED_BY(mutex_);    // Where there is one, and no welcome.
  absl::Duration leave_by_ ABSL_GUARDED_BY(mutex_);      // kLeave.
  absl::Duration heartbeat_interval_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(5);

  grpc::Alarm alarm_;  // Used with the exchange's lock held.
  SessionExchange exchange_;
  LeasedBatches batches_;
  std::thread thread_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_SESSION_THREAD_H_
