#ifndef GRADD_SERVER_TRAINING_SERVICE_H_
#define GRADD_SERVER_TRAINING_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "core/run/run_registry.h"
#include "gradd/v1/training_service.grpc.pb.h"
#include "server/peer_watch.h"

namespace gradd {

// The data plane on the wire: bytes to requests, snapshots to bytes. What requests mean is
// core's business (WorkerSession, Run).
//
// gRPC's callback API with raw bytes: payloads are never copied into protobuf strings, and an idle
// session costs no thread. Chosen by measurement (tests/benchmarks, gRPC 1.51): an idle session
// takes 36 KiB, where the synchronous API takes 55 KiB and a thread; and a whole step of 25 million
// parameters, Adam included, takes 0.8 to 1.1 times as long as a bare exchange of its bytes over a
// synchronous stream (tcp_step_over_stream), so that the callback API's changes of thread are not
// what bounds it. The client reads on the thread that polls its completion queue: there the
// callback API was slower by a third.
class TrainingService
    : public v1::TrainingService::WithRawCallbackMethod_Train<
          v1::TrainingService::WithRawCallbackMethod_Pull<v1::TrainingService::Service>> {
 public:
  // Both must outlive the service and its RPCs.
  TrainingService(RunRegistry* registry, PeerWatch* watch) : registry_(registry), watch_(watch) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Train(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Pull(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request) override;

 private:
  RunRegistry* const registry_;
  PeerWatch* const watch_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_TRAINING_SERVICE_H_
