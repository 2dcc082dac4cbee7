#include "client/train_stream.h"

#include <string>
#include <utility>

#include "client/channel.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

constexpr char kTrainMethod[] = "/gradd.v1.TrainingService/Train";

// What the completion queue says is done.
enum Done : intptr_t { kStartDone = 1, kReadDone, kWriteDone, kFinishDone };

void* TagOf(Done done) { return reinterpret_cast<void*>(done); }

}  // namespace

TrainStream::TrainStream(std::shared_ptr<grpc::Channel> channel, grpc::CompletionQueue* queue,
                         const Clock* clock)
    : clock_(clock),
      channel_(std::move(channel)),
      call_(grpc::GenericStub(channel_).PrepareCall(&context_, kTrainMethod, queue)),
      last_write_(clock->Elapsed()) {
  ++operations_;
  call_->StartCall(TagOf(kStartDone));
}

TrainStream::Event TrainStream::Completed(intptr_t tag, bool ok) {
  --operations_;
  Event event = Event::kNothing;
  switch (tag) {
    case kStartDone:
      started_ = ok;
      if (ok) event = Event::kStarted;
      if (!ok) Finish();
      break;
    case kReadDone:
      if (ok) event = Event::kReceived;
      if (!ok) Finish();
      break;
    case kWriteDone:
      writing_ = false;
      if (ok) event = Event::kWritten;  // Otherwise the pending read is about to fail.
      break;
    default:
      break;
  }
  // The status is the last thing of a stream, but other completions may come after it.
  return finishing_ && operations_ == 0 ? Event::kEnded : event;
}

void TrainStream::Read() {
  ++operations_;
  call_->Read(&incoming_, TagOf(kReadDone));
}

void TrainStream::Write(const v1::TrainRequest& request, const Payload& data) {
  writing_ = true;
  MarkWritten();
  ++operations_;
  call_->Write(SerializeTrainRequest(request, data), TagOf(kWriteDone));
}

bool TrainStream::WriteAdded() {
  if (added_.empty()) return false;
  Write(added_.front(), Payload());
  added_.pop_front();
  return true;
}

void TrainStream::Cancel(absl::Status why) {
  if (ending()) return;
  cancelled_ = std::move(why);
  context_.TryCancel();
}

void TrainStream::Finish() {
  if (finishing_) return;
  finishing_ = true;
  ++operations_;
  call_->Finish(&status_, TagOf(kFinishDone));
}

absl::Status TrainStream::status() const {
  // The server's own word counts for more, if it came before the cancellation took effect.
  if (!cancelled_.ok() && status_.error_code() == grpc::StatusCode::CANCELLED) return cancelled_;
  std::string reason;
  const auto& metadata = context_.GetServerTrailingMetadata();
  const auto found = metadata.find("gradd-reason");
  if (found != metadata.end()) reason.assign(found->second.data(), found->second.size());
  return FromGrpcStatus(status_, reason);
}

}  // namespace gradd
