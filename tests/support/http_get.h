#ifndef GRADD_TESTS_SUPPORT_HTTP_GET_H_
#define GRADD_TESTS_SUPPORT_HTTP_GET_H_

#include <string>

#include "absl/status/statusor.h"

namespace gradd {

// A connection to HOST:PORT, where HOST is an IPv4 address; the caller closes it.
absl::StatusOr<int> ConnectTo(const std::string& address);

// Sends `request` as it is and returns all that comes back until the peer closes.
absl::StatusOr<std::string> HttpExchange(const std::string& address, const std::string& request);

// The whole answer to GET, its head included.
absl::StatusOr<std::string> HttpGet(const std::string& address, const std::string& page);

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_HTTP_GET_H_
