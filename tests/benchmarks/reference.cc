#include "tests/benchmarks/reference.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/benchmarks/figure.h"
#include "tests/support/loopback.h"

namespace gradd {
namespace {

constexpr int64_t kChunkElements = 256 * 1024;
constexpr int64_t kFloatBytes = sizeof(float);
constexpr size_t kTcpBytes = 1 << 20;

// Reads a push, sends as many parameters.
class PlainService : public v1::TrainingService::Service {
 public:
  grpc::Status Train(
      grpc::ServerContext* /*context*/,
      grpc::ServerReaderWriter<v1::TrainResponse, v1::TrainRequest>* stream) override {
    std::vector<float> parameters;
    v1::TrainRequest request;
    v1::TrainResponse response;
    int64_t elements = 0;
    while (stream->Read(&request)) {
      const v1::Push& push = request.push();
      elements += static_cast<int64_t>(push.chunk().data().size()) / kFloatBytes;
      if (!push.has_commit()) continue;
      parameters.resize(static_cast<size_t>(elements));
      for (int64_t offset = 0; offset < elements; offset += kChunkElements) {
        const int64_t count = std::min(kChunkElements, elements - offset);
        v1::ParameterChunk& chunk = *response.mutable_parameters();
        chunk.set_offset(offset);
        chunk.set_data(parameters.data() + offset, static_cast<size_t>(count * kFloatBytes));
        stream->Write(response);
      }
      elements = 0;
    }
    return grpc::Status::OK;
  }
};

// Reads `size` bytes and forgets them.
bool ReceiveAll(int socket, std::vector<char>* buffer, size_t size) {
  buffer->resize(kTcpBytes);
  while (size > 0) {
    const ssize_t received = recv(socket, buffer->data(), std::min(size, kTcpBytes), 0);
    if (received <= 0) return false;
    size -= static_cast<size_t>(received);
  }
  return true;
}

// Each message is its size and so many bytes; the answer is as many bytes.
void ServeTcp(int listener) {
  std::vector<char> buffer;
  std::vector<char> answer;
  while (true) {
    const int client = accept(listener, nullptr, nullptr);
    uint64_t size = 0;
    while (recv(client, &size, sizeof(size), MSG_WAITALL) == sizeof(size) &&
           ReceiveAll(client, &buffer, size)) {
      answer.resize(size);
      if (!SendAll(client, answer.data(), size, kTcpBytes)) break;
    }
    close(client);
  }
}

int Connect(const std::string& address) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in target = Loopback(std::stoi(address.substr(address.rfind(':') + 1)));
  if (connect(fd, reinterpret_cast<sockaddr*>(&target), sizeof(target)) != 0) {
    Fail(absl::StrCat("cannot connect to ", address));
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

}  // namespace

void ServeReference(const std::string& ready_file) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  listen(listener, 16);
  socklen_t size = sizeof(address);
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);

  PlainService service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) Fail("the reference cannot listen");

  const std::string temporary = ready_file + ".tmp";
  std::ofstream(temporary) << "grpc=127.0.0.1:" << port
                           << "\ntcp=127.0.0.1:" << ntohs(address.sin_port) << "\n";
  std::rename(temporary.c_str(), ready_file.c_str());
  ServeTcp(listener);
  std::abort();  // It never returns.
}

PlainStream::PlainStream(const std::string& address)
    : stub_(v1::TrainingService::NewStub(
          grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))),
      stream_(stub_->Train(&context_)) {}

PlainStream::~PlainStream() { context_.TryCancel(); }

void PlainStream::Join(const std::string& run, const std::string& worker) {
  v1::TrainRequest request;
  request.mutable_join()->set_run(absl::StrCat("runs/", run));
  request.mutable_join()->set_worker(worker);
  stream_->Write(request);
}

void PlainStream::Exchange(int64_t elements, absl::Span<const float> values) {
  const auto size = static_cast<int64_t>(values.size());
  v1::TrainRequest request;
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(steps_ + 1);
  push.mutable_header()->set_base_step(steps_);
  push.mutable_header()->set_examples(1);
  for (int64_t offset = 0; offset < elements; offset += kChunkElements) {
    const int64_t count = std::min(kChunkElements, elements - offset);
    push.mutable_chunk()->set_offset(offset);
    push.mutable_chunk()->set_data(values.data() + offset % size,
                                   static_cast<size_t>(count * kFloatBytes));
    if (offset + count == elements) push.mutable_commit()->set_want_parameters(true);
    if (!stream_->Write(request)) Fail("the stream broke");
    push.clear_header();
  }
  v1::TrainResponse response;
  for (int64_t received = 0; received < elements;) {
    if (!stream_->Read(&response)) Fail("the stream broke");
    if (response.push_result().outcome() == v1::PUSH_OUTCOME_REJECTED) {
      Fail(response.push_result().message());
    }
    received += static_cast<int64_t>(response.parameters().data().size()) / kFloatBytes;
  }
  ++steps_;
}

RawTcp::RawTcp(const std::string& address) : socket_(Connect(address)) {}

RawTcp::~RawTcp() { close(socket_); }

void RawTcp::Exchange(absl::Span<const float> values) {
  const uint64_t size = values.size() * sizeof(float);
  if (!SendAll(socket_, &size, sizeof(size)) || !SendAll(socket_, values.data(), size, kTcpBytes) ||
      !ReceiveAll(socket_, &buffer_, size)) {
    Fail("the connection broke");
  }
}

}  // namespace gradd
