#ifndef GRADD_CLIENT_CONNECTION_H_
#define GRADD_CLIENT_CONNECTION_H_

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/backoff.h"
#include "client/mapped_vectors.h"
#include "client/push_encoder.h"
#include "client/receive_buffer_pin.h"
#include "client/session.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/store/payload.h"

namespace gradd {

// The state machine behind a Session. One thread polls the completion queue of one stream at a
// time and owns everything about it; other threads leave their wishes under a mutex and wake
// it.
//
// A push stays here until it is answered. When the stream breaks, a new one is joined, and what
// `welcome` says about the last committed sequence decides whether the push is sent again, or
// only asked about.
class Connection {
 public:
  explicit Connection(SessionOptions options);
  // Ends the stream and the thread; a push in flight fails with CANCELLED.
  ~Connection();

  // Waits for the first welcome. Then the observers below are valid.
  absl::Status WaitUntilOpen();

  // See Session.
  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters);
  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info);
  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters, v1::ParameterView view);
  absl::StatusOr<int64_t> Pull();
  absl::Status Leave();

  absl::Span<float> gradient() const;
  absl::Span<const float> parameters() const;
  bool shares_memory() const { return shares_memory_.load(); }
  const v1::Layout& layout() const { return layout_; }
  int64_t parameter_count() const { return parameter_count_; }
  int64_t max_steps() const { return max_steps_; }
  int64_t next_sequence() const;
  bool finished() const;
  int64_t reconnects() const;
  int64_t saturated_elements() const { return saturated_elements_; }

 private:
  using Result = absl::StatusOr<PushReport>;

  // The caller's gradient, lent to gRPC. The caller gets its answer, and with it the memory
  // back, when nobody holds this any more: a broken connection may do so a little longer.
  struct Loan {
    ~Loan() { promise.set_value(std::move(result)); }
    std::shared_ptr<MappedVectors> vectors;  // In which the gradient may lie.
    std::promise<Result> promise;
    Result result = absl::UnknownError("unanswered");
  };

  // A push from its call to its answer.
  struct ActivePush {
    Session::PushInfo info;
    absl::Span<const float> gradient;
    absl::Span<float> parameters;
    bool own_vectors = false;  // Of the session, instead of the two above.
    bool shared = false;       // The server reads the gradient where it lies.
    std::shared_ptr<Loan> loan;
    bool encoding = false;  // The encoder has begun it.
    bool dropped = false;   // It did not become part of a step, as the server said.

    bool wants_parameters() const { return own_vectors || !parameters.empty(); }

    // Starts anew on every stream.
    int64_t sequence = 0;
    bool begun = false;  // It may be sent.
    bool header_sent = false;
    bool committed = false;  // The last chunk is sent.
    bool known = false;      // The server has it already: ask, do not send it again.
    bool answered = false;   // `report` holds the result; parameters may follow.
    int64_t received_elements = 0;
    PushReport report;
  };

  // One Train stream, from the call to its status.
  struct Stream {
    std::shared_ptr<grpc::Channel> channel;
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
    grpc::ByteBuffer incoming;
    grpc::ByteBuffer ahead;  // The next chunk, encoded while the last one is written; or none.
    grpc::Status status;
    bool writing = false;
    bool welcome = false;
    bool finishing = false;
    int operations = 0;                    // Started and not yet completed.
    std::deque<v1::TrainRequest> control;  // Goes out before chunks.
    absl::Duration last_write;
  };

  std::future<Result> Wish(ActivePush push);

  void Run();
  // When something is due although nothing happens.
  absl::Duration NextDue() const;
  void HandleDue();
  void HandleWishes();
  void BeginLeave();
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void OpenStream();
  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void OnFinished();
  void Read();
  void WriteNext();
  grpc::ByteBuffer NextChunk();
  void FinishStream();
  void ScheduleReconnect(const absl::Status& why);

  void HandleResponse(const v1::TrainResponse& response, const Payload& data);
  void HandleWelcome(const v1::Welcome& welcome);
  // OK if the run knows what it must know of this session's pushes, and nothing else.
  absl::Status CheckSameRun(const v1::Welcome& welcome) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // OK if the server takes what this session pushes.
  absl::Status CheckPushEncoding(const v1::Welcome& welcome) const;
  void HandleResult(const v1::PushResult& result);
  void HandleParameters(const v1::ParameterChunk& chunk, const Payload& data);
  void HandleSharedParameters(const v1::SharedParameters& parameters);
  void HandleEvent(const v1::RunEvent& event);
  void BeginPush();
  void CompletePush(Result result);
  // Of the push in flight.
  void NoteSaturated(int64_t elements);
  // Gives up: nothing can be done any more.
  void Fail(const absl::Status& why);
  void BreakProtocol(const std::string& what);
  void Log(const std::string& line) const;

  const SessionOptions options_;
  const std::string run_;
  const uint64_t instance_;
  const Clock* const clock_ = Clock::Real();
  ReceiveBufferPin receive_buffers_;

  // Used by the thread alone.
  grpc::CompletionQueue queue_;
  std::unique_ptr<Stream> stream_;
  std::optional<ActivePush> push_;
  Backoff backoff_;
  absl::Duration reconnect_at_;
  absl::Duration lost_at_;
  absl::Duration heartbeat_interval_ = absl::Seconds(5);
  int64_t max_chunk_bytes_ = 0;
  std::unique_ptr<PushEncoder> encoder_;  // From the first welcome on.
  bool leaving_ = false;
  bool use_shared_memory_;

  // Written by the thread before the first welcome is told, constant afterwards.
  v1::Layout layout_;
  int64_t parameter_count_ = 0;
  int64_t max_steps_ = 0;
  std::shared_ptr<MappedVectors>
      vectors_;  // What lies behind them changes while a push is in flight.
  std::atomic<bool> shares_memory_{false};
  std::atomic<int64_t> saturated_elements_{0};

  mutable Mutex mutex_;
  CondVar changed_;
  grpc::Alarm alarm_ ABSL_GUARDED_BY(mutex_);
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool leave_wished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<ActivePush> wished_push_ ABSL_GUARDED_BY(mutex_);
  bool push_in_flight_ ABSL_GUARDED_BY(mutex_) = false;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  int64_t next_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t reconnects_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_CONNECTION_H_
