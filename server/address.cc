#include "server/address.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/utf8.h"

namespace gradd {

absl::StatusOr<HostPort> ParseHostPort(absl::string_view option, absl::string_view address,
                                       int lowest_port) {
  constexpr int64_t kHighestPort = 65535;
  const size_t colon = address.rfind(':');
  const absl::string_view host = address.substr(0, colon);
  int64_t port = 0;
  if (colon == absl::string_view::npos || host.empty() || host == "unix" ||
      absl::StrContains(host, '/') ||
      !absl::ascii_isdigit(static_cast<unsigned char>(address.back())) ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", option, ": ", Quoted(address), " is not of the form HOST:PORT"));
  }
  if (port < lowest_port || port > kHighestPort) {
    return absl::InvalidArgumentError(absl::StrCat("--", option, ": port ", port, " of ",
                                                   Quoted(address), " is outside [", lowest_port,
                                                   ", ", kHighestPort, "]"));
  }
  return HostPort{std::string(host), static_cast<int>(port)};
}

std::string CallerOf(absl::string_view peer) {
  if (absl::StartsWith(peer, "unix")) return "unix";
  return std::string(peer.substr(0, peer.rfind(':')));
}

std::string UnixPath(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, "unix:")) return "";
  absl::ConsumePrefix(&address, "//");
  return std::string(address);
}

}  // namespace gradd
