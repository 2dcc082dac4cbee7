#ifndef GRADD_CLIENT_SESSION_THREAD_H_
#define GRADD_CLIENT_SESSION_THREAD_H_

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>

#include <atomic>
#include <cstdint>
#include <memory>
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
#include "core/store/payload.h"

namespace gradd {

// The thread of a session. It has everything about the connection and polls one completion queue.
// It puts three state machines together, none of which knows of the others:
//
//   TrainStream   one gRPC call: opened, read, written, ended
//   Retry         when to open the next one, and when to give up
//   PushMachine   the push in flight: what to send of it, and what an answer means
//
// lets Joining say what to make of a welcome, and gets the orders of the user's threads, and tells
// them what became of these, by SessionExchange.
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
  // When something is due although nothing happens.
  absl::Duration NextDue() const;
  void HandleDue();
  void HandleOrders();
  void BeginLeave();
  // The order to leave is carried out, or cannot be, as `status` says.
  void EndLeave(const absl::Status& status);

  void OpenStream();
  void OnStreamEvent(TrainStream::Event event);
  void OnStreamEnded();
  void WriteNext();

  void OnReceived();
  void HandleResponse(const v1::TrainResponse& response, const Payload& data);
  void HandleWelcome(const v1::Welcome& welcome);
  void HandleEvent(const v1::RunEvent& event);

  // Asks for batches, on a stream that is welcome, where some are wanted.
  void RequestBatches();
  // Sends the push in flight, on a stream that is welcome.
  void BeginPush();
  void Do(PushMachine::Action action);
  void CompletePush(absl::StatusOr<PushReport> result);
  void NoteBatches(const absl::StatusOr<PushReport>& result);
  void NoteSaturated();
  // Gives up: nothing can be done any more.
  void Fail(const absl::Status& why);
  void BreakProtocol(absl::string_view what);
  void Log(const std::string& line) const;

  const SessionOptions options_;
  const Clock* const clock_ = Clock::Real();
  ReceiveBufferPin* const receive_buffers_;

  std::atomic<bool> shares_memory_{false};  // The last push.
  std::atomic<int64_t> saturated_elements_{0};
  std::atomic<uint64_t> timeline_{0};

  // Used by the thread alone.
  grpc::CompletionQueue queue_;
  Course course_ = Course::kServe;
  std::unique_ptr<TrainStream> stream_;
  bool welcome_ = false;  // On this stream.
  Joining joining_;
  Retry retry_;
  PushMachine push_;
  absl::Duration reconnect_at_;  // Where there is no stream.
  absl::Duration welcome_by_;    // Where there is one, and no welcome.
  absl::Duration leave_by_;      // kLeave.
  absl::Duration heartbeat_interval_ = absl::Seconds(5);

  grpc::Alarm alarm_;  // Used with the exchange's lock held.
  SessionExchange exchange_;
  LeasedBatches batches_;
  std::thread thread_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_SESSION_THREAD_H_
