#include "client/pull.h"

#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/channel.h"
#include "core/base/error.h"
#include "core/codec/dense.h"
#include "core/store/payload_reader.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

constexpr char kPullMethod[] = "/gradd.v1.TrainingService/Pull";
constexpr std::chrono::seconds kPatience{60};  // For each message.

// A call whose operations are done one after the other.
class BlockingCall {
 public:
  BlockingCall(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext* context)
      : context_(context),
        call_(grpc::GenericStub(channel).PrepareCall(context, kPullMethod, &queue_)) {}
  ~BlockingCall() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  bool Start(const grpc::ByteBuffer& request) {
    call_->StartCall(this);
    if (!Wait()) return false;
    call_->WriteLast(request, grpc::WriteOptions(), this);
    return Wait();
  }
  bool Read(grpc::ByteBuffer* bytes) {
    call_->Read(bytes, this);
    return Wait();
  }
  grpc::Status Finish() {
    grpc::Status status;
    call_->Finish(&status, this);
    Wait();
    if (!lost_patience_) return status;
    return {grpc::StatusCode::UNAVAILABLE,
            absl::StrCat("nothing has come for ", kPatience.count(), " s")};
  }

 private:
  // The operation's result; one that takes too long is cancelled, and then comes to an end.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() + kPatience;
    if (queue_.AsyncNext(&tag, &ok, deadline) == grpc::CompletionQueue::TIMEOUT) {
      lost_patience_ = true;
      context_->TryCancel();
      queue_.Next(&tag, &ok);
    }
    return ok;
  }

  grpc::ClientContext* const context_;
  bool lost_patience_ = false;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

std::string ReasonIn(const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find("gradd-reason");
  return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
}

}  // namespace

grpc::Status PullChunks(const std::shared_ptr<grpc::Channel>& channel,
                        const v1::PullRequest& request, grpc::ClientContext* context,
                        const TakeChunk& take, absl::Status* taken,
                        const std::function<void(const grpc::ByteBuffer&)>& received) {
  *taken = absl::OkStatus();
  const std::string bytes = request.SerializeAsString();
  const grpc::Slice slice(bytes);
  BlockingCall call(channel, context);
  if (call.Start(grpc::ByteBuffer(&slice, 1))) {
    grpc::ByteBuffer message;
    while (taken->ok() && call.Read(&message)) {
      if (received) received(message);
      v1::ParameterChunk chunk;
      Payload data;
      *taken = ParseParameterChunk(message, &chunk, &data);
      if (taken->ok()) *taken = take(chunk, data);
    }
    if (!taken->ok()) context->TryCancel();
  }
  return call.Finish();
}

absl::StatusOr<int64_t> CheckChunk(const v1::ParameterChunk& chunk, size_t bytes, int64_t received,
                                   int64_t total, int64_t step) {
  const v1::Encoding encoding = EncodingOf(chunk.encoding());
  const auto unit = static_cast<size_t>(DenseElementBytes(encoding));
  const int64_t left = total - received;
  const auto size = unit == 0 ? 0 : static_cast<int64_t>(bytes / unit);
  if (size < 1 || size > left || bytes % unit != 0 || chunk.offset() != received ||
      (step >= 0 && chunk.step() != step) || chunk.step() < 0) {
    return absl::DataLossError(
        absl::StrCat("a chunk of ", bytes, " bytes in ", v1::Encoding_Name(encoding), " at offset ",
                     chunk.offset(), " of step ", chunk.step(), ", expected at most ", left,
                     " elements in a dense encoding at offset ", received,
                     step >= 0 ? absl::StrCat(" of step ", step) : std::string()));
  }
  return size;
}

absl::Status CheckComplete(int64_t received, int64_t total) {
  if (received == total) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the server sent ", received, " of ", total, " parameters"));
}

absl::StatusOr<int64_t> DecodeChunk(const v1::ParameterChunk& chunk, const Payload& data,
                                    int64_t received, int64_t step, absl::Span<float> parameters) {
  absl::StatusOr<int64_t> size =
      CheckChunk(chunk, data.size_bytes(), received, static_cast<int64_t>(parameters.size()), step);
  if (!size.ok()) return size;
  const v1::Encoding encoding = EncodingOf(chunk.encoding());
  const auto unit = static_cast<size_t>(DenseElementBytes(encoding));
  PayloadReader reader(data);
  float* out = parameters.data() + received;
  for (size_t bytes = data.size_bytes(); bytes > 0;) {
    std::byte scratch[sizeof(float)];
    const Payload::Slice run = reader.Next(bytes, unit, scratch);
    const auto count = static_cast<int64_t>(run.size() / unit);
    DecodeDense(encoding, run.data(), count, out);
    out += count;
    bytes -= run.size();
  }
  return size;
}

grpc::Status PullInto(const std::shared_ptr<grpc::Channel>& channel, const v1::PullRequest& request,
                      grpc::ClientContext* context, absl::Span<float> parameters, Pulled* pulled,
                      absl::Status* taken,
                      const std::function<void(const grpc::ByteBuffer&)>& received) {
  int64_t elements = 0;
  *pulled = Pulled();
  const auto take = [&](const v1::ParameterChunk& chunk, const Payload& data) {
    const auto count = DecodeChunk(chunk, data, elements, pulled->step, parameters);
    if (!count.ok()) return count.status();
    if (elements == 0) pulled->timeline = chunk.timeline();
    elements += *count;
    pulled->step = chunk.step();
    return absl::OkStatus();
  };
  grpc::Status status = PullChunks(channel, request, context, take, taken, received);
  if (taken->ok() && status.ok()) {
    *taken = CheckComplete(elements, static_cast<int64_t>(parameters.size()));
  }
  return status;
}

absl::StatusOr<Pulled> PullOnce(const std::string& server, const std::string& run,
                                v1::ParameterView view, absl::Span<float> parameters,
                                ReceiveBufferPin* pin) {
  auto channel = MakeChannel(server);
  GRADD_RETURN_IF_ERROR(channel.status());
  v1::PullRequest request;
  request.set_run(run);
  request.set_view(view);
  grpc::ClientContext context;
  Pulled pulled;
  absl::Status taken;
  const grpc::Status status =
      PullInto(*channel, request, &context, parameters, &pulled, &taken,
               [pin](const grpc::ByteBuffer& message) { pin->Note(message); });
  GRADD_RETURN_IF_ERROR(taken);
  GRADD_RETURN_IF_ERROR(FromGrpcStatus(status, ReasonIn(context)));
  return pulled;
}

}  // namespace gradd
