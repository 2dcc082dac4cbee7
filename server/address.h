#ifndef GRADD_SERVER_ADDRESS_H_
#define GRADD_SERVER_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gradd {

// Host and port of a TCP address.
struct HostPort {
  std::string host;  // Not empty; an IPv6 address keeps its brackets.
  int port = 0;
};

// Takes `address`, the value of option `--option`, apart. An error names option, value and the
// ports from `lowest_port` to 65535 that it may have.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view option, absl::string_view address,
                                       int lowest_port = 0);

// Who calls, of gRPC's name of a peer: the address without the port, or `unix`.
std::string CallerOf(absl::string_view peer);

// The path of a unix-domain address, `unix:PATH` or `unix://PATH`; empty for any other.
std::string UnixPath(absl::string_view address);

}  // namespace gradd

#endif  // GRADD_SERVER_ADDRESS_H_
