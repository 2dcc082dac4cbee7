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
constexpr std::chrono::seconds kPatience{60};

// A call whose operations are done one after the other.
class BlockingCall {
 public:
  explicit BlockingCall(const std::shared_ptr<grpc::Channel>& channel)
      : call_(grpc::GenericStub(channel).PrepareCall(&context_, kPullMethod, &queue_)) {}
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
    return status;
  }
  std::string Reason() const {
    const auto& metadata = context_.GetServerTrailingMetadata();
    const auto found = metadata.find("gradd-reason");
    return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
  }
  void Cancel() { context_.TryCancel(); }

 private:
  // The operation's result; one that takes too long is cancelled, and then comes to an end.
  bool Wait() {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() + kPatience;
    if (queue_.AsyncNext(&tag, &ok, deadline) == grpc::CompletionQueue::TIMEOUT) {
      context_.TryCancel();
      queue_.Next(&tag, &ok);
    }
    return ok;
  }

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  const std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

}  // namespace

absl::StatusOr<int64_t> DecodeChunk(const v1::ParameterChunk& chunk, const Payload& data,
                                    int64_t received, int64_t step, absl::Span<float> parameters) {
  const v1::Encoding encoding = EncodingOf(chunk.encoding());
  const auto unit = static_cast<size_t>(DenseElementBytes(encoding));
  const auto left = static_cast<int64_t>(parameters.size()) - received;
  const auto size = unit == 0 ? 0 : static_cast<int64_t>(data.size_bytes() / unit);
  if (size < 1 || size > left || data.size_bytes() % unit != 0 || chunk.offset() != received ||
      (step >= 0 && chunk.step() != step) || chunk.step() < 0) {
    return absl::InternalError(
        absl::StrCat("a chunk of ", data.size_bytes(), " bytes in ", v1::Encoding_Name(encoding),
                     " at offset ", chunk.offset(), " of step ", chunk.step(),
                     ", expected at most ", left, " elements in a dense encoding at offset ",
                     received, step >= 0 ? absl::StrCat(" of step ", step) : std::string()));
  }
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

absl::StatusOr<int64_t> PullOnce(const std::string& server, const std::string& run,
                                 v1::ParameterView view, absl::Span<float> parameters,
                                 ReceiveBufferPin* pin) {
  auto channel = MakeChannel(server);
  GRADD_RETURN_IF_ERROR(channel.status());
  v1::PullRequest request;
  request.set_run(run);
  request.set_view(view);
  const std::string bytes = request.SerializeAsString();
  const grpc::Slice slice(bytes);
  BlockingCall call(*channel);
  int64_t received = 0;
  int64_t step = -1;
  if (call.Start(grpc::ByteBuffer(&slice, 1))) {
    grpc::ByteBuffer message;
    while (call.Read(&message)) {
      pin->Note(message);
      v1::ParameterChunk chunk;
      Payload data;
      absl::Status copied = ParseParameterChunk(message, &chunk, &data);
      if (copied.ok()) {
        const auto count = DecodeChunk(chunk, data, received, step, parameters);
        copied = count.status();
        if (count.ok()) received += *count;
      }
      if (!copied.ok()) {
        call.Cancel();
        call.Finish();
        return copied;
      }
      step = chunk.step();
    }
  }
  const grpc::Status status = call.Finish();
  GRADD_RETURN_IF_ERROR(FromGrpcStatus(status, call.Reason()));
  if (received != static_cast<int64_t>(parameters.size())) {
    return absl::InternalError(
        absl::StrCat("the server sent ", received, " of ", parameters.size(), " parameters"));
  }
  return step;
}

}  // namespace gradd
