#ifndef GRADD_TESTS_BENCHMARKS_LIGHT_WORKERS_H_
#define GRADD_TESTS_BENCHMARKS_LIGHT_WORKERS_H_

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gradd {

// Many workers of one synchronous run, each with a connection of its own, and all of them on one
// completion queue and one thread: so cheap that what is measured is the server.
class LightWorkers {
 public:
  // Joins `count` workers to the run and returns when all are welcome. `elements` is the length
  // of the run's vector, at most a chunk.
  LightWorkers(const std::string& address, const std::string& run, int count, int64_t elements);
  ~LightWorkers();

  // One step: every worker pushes and gets the parameters.
  void Step();

 private:
  struct Worker;
  enum class Operation { kStart, kRead, kWrite };
  struct Tag {
    Worker* worker;
    Operation operation;
  };
  struct Worker {
    std::shared_ptr<grpc::Channel> channel;
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
    grpc::ByteBuffer incoming;
    Tag start{this, Operation::kStart};
    Tag read{this, Operation::kRead};
    Tag write{this, Operation::kWrite};
  };

  // Waits for the next completion and reacts; afterwards awaited_ may be smaller.
  void HandleNext();

  const int64_t elements_;
  const std::vector<float> gradient_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Worker>> workers_;
  int64_t awaited_ = 0;  // What must happen before the step is done.
  int64_t steps_ = 0;
};

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_LIGHT_WORKERS_H_
