#ifndef GRADD_SERVER_PROBE_H_
#define GRADD_SERVER_PROBE_H_

#include <string>

#include "absl/status/status.h"

namespace gradd {

// Asks the gRPC server at `address` (HOST:PORT or unix:PATH) by grpc.health.v1, as a client would:
// OK if it says within a few seconds that it serves. For container health checks.
absl::Status ProbeHealth(const std::string& address);

}  // namespace gradd

#endif  // GRADD_SERVER_PROBE_H_
