#include "server/probe.h"

#include <civetweb.h>

#include "absl/strings/str_cat.h"
#include "server/address.h"

namespace gradd {

absl::Status ProbeHealth(const std::string& address) {
  constexpr int kTimeoutMs = 3000;
  const absl::StatusOr<HostPort> server = ParseHostPort("probe", address, /*lowest_port=*/1);
  if (!server.ok()) return server.status();
  char error[256] = "";
  mg_connection* const connection = mg_connect_client(server->host.c_str(), server->port,
                                                      /*use_ssl=*/0, error, sizeof(error));
  if (connection == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot connect to ", address, ": ", error));
  }
  mg_printf(connection, "GET /healthz HTTP/1.0\r\nHost: %s\r\n\r\n", address.c_str());
  if (mg_get_response(connection, error, sizeof(error), kTimeoutMs) < 0) {
    mg_close_connection(connection);
    return absl::UnavailableError(absl::StrCat("no answer from ", address, ": ", error));
  }
  const mg_response_info* const response = mg_get_response_info(connection);
  const int status = response != nullptr ? response->status_code : 0;
  mg_close_connection(connection);
  if (status == 200) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(address, " answered with HTTP status ", status, ", expected 200"));
}

}  // namespace gradd
