#ifndef GRADD_TESTS_BENCHMARKS_REFERENCE_H_
#define GRADD_TESTS_BENCHMARKS_REFERENCE_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "gradd/v1/training_service.grpc.pb.h"

namespace gradd {

// What gradd is compared with: the same bytes, moved by the plainest code there is, and nothing
// done with them.

// Serves a PlainStream (as grpc=) and a RawTcp (as tcp=) on free ports until it is killed.
[[noreturn]] void ServeReference(const std::string& ready_file);

// A stream as anyone would write it: gRPC's synchronous API, generated messages, chunks of
// 1 MiB. It speaks gradd's protocol, so that it can also be a worker which holds no model.
class PlainStream {
 public:
  explicit PlainStream(const std::string& address);
  ~PlainStream();

  // The reference needs no join, gradd does.
  void Join(const std::string& run, const std::string& worker);

  // Sends a gradient of `elements`, made of `values` over and over, and reads as many
  // parameters, which are discarded. `values` are a whole number of chunks, or `elements`.
  void Exchange(int64_t elements, absl::Span<const float> values);

 private:
  std::unique_ptr<v1::TrainingService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::TrainRequest, v1::TrainResponse>> stream_;
  int64_t steps_ = 0;
};

// The same without gRPC: writes of 1 MiB to a socket.
class RawTcp {
 public:
  explicit RawTcp(const std::string& address);
  ~RawTcp();

  // Sends `values` and reads as many bytes.
  void Exchange(absl::Span<const float> values);

 private:
  const int socket_;
  std::vector<char> buffer_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_REFERENCE_H_
