#include "server/status.h"

#include <string>

#include "core/base/error.h"

namespace gradd {

grpc::Status ToGrpcStatus(const absl::Status& status, grpc::CallbackServerContext* context) {
  if (status.ok()) return grpc::Status::OK;
  context->AddTrailingMetadata("gradd-reason", ReasonOf(status));
  // Abseil's codes are gRPC's, by value: both are google.rpc.Code.
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()),
                      std::string(status.message()));
}

}  // namespace gradd
