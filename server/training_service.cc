#include "server/training_service.h"

#include "server/pull_reactor.h"
#include "server/train_reactor.h"

namespace gradd {

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* TrainingService::Train(
    grpc::CallbackServerContext* context) {
  return new TrainReactor(registry_, watch_, context);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* TrainingService::Pull(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return new PullReactor(registry_, watch_, context, *request);
}

}  // namespace gradd
