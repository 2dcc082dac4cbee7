#ifndef GRADD_SERVER_PROBE_H_
#define GRADD_SERVER_PROBE_H_

#include <string>

#include "absl/status/status.h"

namespace gradd {

// Asks the HTTP server at `address` (HOST:PORT) for /healthz: OK if it answers with 200 within
// a few seconds. For container health checks, where there is no curl.
absl::Status ProbeHealth(const std::string& address);

}  // namespace gradd

#endif  // GRADD_SERVER_PROBE_H_
