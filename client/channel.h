#ifndef GRADD_CLIENT_CHANNEL_H_
#define GRADD_CLIENT_CHANNEL_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gradd {

// A channel to `server` (HOST:PORT or unix:PATH) with a connection of its own, on which a
// dead peer is noticed within 15 seconds. The proxy of the environment (`http_proxy`) is not asked
// for servers on this host. INVALID_ARGUMENT if the address cannot be one.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& server);

// gRPC's status as Abseil's; the server's reason, where there is one, is ReasonOf() it.
absl::Status FromGrpcStatus(const grpc::Status& status, const std::string& reason);

}  // namespace gradd

#endif  // GRADD_CLIENT_CHANNEL_H_
