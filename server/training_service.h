#ifndef GRADD_SERVER_TRAINING_SERVICE_H_
#define GRADD_SERVER_TRAINING_SERVICE_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "core/run/run_registry.h"
#include "gradd/v1/training_service.grpc.pb.h"

namespace gradd {

// The data plane on the wire: bytes to requests, snapshots to bytes. What requests mean is
// core's business (WorkerSession, Run).
//
// gRPC's callback API with raw bytes: an idle session costs no thread, and payloads
// are never copied into protobuf strings.
class TrainingService
    : public v1::TrainingService::WithRawCallbackMethod_Train<
          v1::TrainingService::WithRawCallbackMethod_Pull<v1::TrainingService::Service>> {
 public:
  // `registry` must outlive the service and its RPCs.
  explicit TrainingService(RunRegistry* registry) : registry_(registry) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Train(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Pull(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request) override;

 private:
  RunRegistry* const registry_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_TRAINING_SERVICE_H_
