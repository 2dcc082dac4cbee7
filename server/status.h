#ifndef GRADD_SERVER_STATUS_H_
#define GRADD_SERVER_STATUS_H_

#include <grpcpp/impl/codegen/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace gradd {

// The one table from core's errors to gRPC's. The reason goes into the trailing metadata
// `gradd-reason` of `context`; call it before the RPC's Finish(). Of a message that would take more
// than 4,000 bytes there, the middle is left out.
grpc::Status ToGrpcStatus(const absl::Status& status, grpc::CallbackServerContext* context);

}  // namespace gradd

#endif  // GRADD_SERVER_STATUS_H_
