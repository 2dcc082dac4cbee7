#ifndef GRADD_CLIENT_TRAIN_STREAM_H_
#define GRADD_CLIENT_TRAIN_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/store/payload.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// One Train call, from its start to its status. The owner polls the completion queue and hands
// each of the stream's completions to Completed(), which says what happened:
//
//   kStarted    the first request may be written
//   kReceived   received() holds a response; Read() asks for the next one
//   kWritten    the last request is out, the next one may be written
//   kEnded      status() says why; nothing is under way any more, and the stream can be destroyed
//
// It ends when the server ends it, when the connection breaks, or by Cancel(); never by itself, so
// the owner watches the time. Used by one thread.
class TrainStream {
 public:
  enum class Event { kNothing, kStarted, kReceived, kWritten, kEnded };
  // The tags of the stream's completions are below this.
  static constexpr intptr_t kTags = 16;

  // Starts the call. Both outlive it.
  TrainStream(std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue* queue,
              const Clock* clock);

  Event Completed(intptr_t tag, bool ok);

  // Asks for the next response. After kStarted and after each kReceived.
  void Read();
  // The response that kReceived tells of; the caller may take it.
  grpc::ByteBuffer* received() { return &incoming_; }

  // Whether Write() may be called: one request at a time.
  bool writable() const { return started_ && !writing_ && !finishing_; }
  void Write(const v1::TrainRequest& request, const Payload& data);

  // Requests that go before all others: what Add() has added, WriteAdded() writes. It writes
  // nothing, and returns false, where there is none. Only while writable().
  void Add(v1::TrainRequest request) { added_.push_back(std::move(request)); }
  bool WriteAdded();

  // Ends the call soon, whatever the server does. kEnded follows, with the status `why` unless the
  // server had ended the call before. What arrives until then is not to be heeded. Only the first
  // call counts.
  void Cancel(absl::Status why);

  // Whether Cancel() was called, or the end is coming.
  bool ending() const { return finishing_ || !cancelled_.ok(); }
  // When the last request was written, or MarkWritten() called; at first, when the call was
  // started.
  absl::Duration last_write() const { return last_write_; }
  void MarkWritten() { last_write_ = clock_->Elapsed(); }
  // After kEnded.
  absl::Status status() const;

 private:
  void Finish();

  const Clock* const clock_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::ByteBuffer incoming_;
  std::deque<v1::TrainRequest> added_;
  grpc::Status status_;
  absl::Status cancelled_;  // Why; OK: it was not.
  bool started_ = false;
  bool writing_ = false;
  bool finishing_ = false;
  int operations_ = 0;  // Started and not yet completed.
  absl::Duration last_write_;
};

}  // namespace gradd

#endif  // GRADD_CLIENT_TRAIN_STREAM_H_
