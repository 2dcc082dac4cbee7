#ifndef GRADD_TRANSPORT_PAYLOAD_MESSAGE_H_
#define GRADD_TRANSPORT_PAYLOAD_MESSAGE_H_

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "core/store/payload.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The messages of TrainingService with their bulk data kept apart: everything but
// `ParameterChunk.data` is parsed into the generated message, and the data stays in
// the transport's own slices on the way in, and in the caller's memory on the way out.
// On the wire they are what the generated classes would have written and
// can read, whatever the order of the fields.

// Parses a TrainRequest. `message` must be empty; its chunk's `data` stays empty and
// `payload` gets it (empty when there is none). INVALID_ARGUMENT if the bytes are no
// TrainRequest.
absl::Status ParseTrainRequest(const grpc::ByteBuffer& bytes, v1::TrainRequest* message,
                               Payload* payload);

// The same for a TrainResponse.
absl::Status ParseTrainResponse(const grpc::ByteBuffer& bytes, v1::TrainResponse* message,
                                Payload* payload);

// The same for a ParameterChunk.
absl::Status ParseParameterChunk(const grpc::ByteBuffer& bytes, v1::ParameterChunk* message,
                                 Payload* payload);

// Serializes `message`, whose chunk carries `payload` as its data. The payload's
// memory is borrowed: its owner is held until gRPC is done with it.
grpc::ByteBuffer SerializeTrainRequest(const v1::TrainRequest& message, const Payload& payload);
grpc::ByteBuffer SerializeTrainResponse(const v1::TrainResponse& message, const Payload& payload);
grpc::ByteBuffer SerializeParameterChunk(const v1::ParameterChunk& message, const Payload& payload);

}  // namespace gradd

#endif  // GRADD_TRANSPORT_PAYLOAD_MESSAGE_H_
