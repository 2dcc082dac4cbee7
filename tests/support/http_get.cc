#include "tests/support/http_get.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

absl::Status Failed(const char* what, const std::string& address) {
  return absl::UnavailableError(absl::StrCat(what, " ", address, ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<int> ConnectTo(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(address, " is not of the form HOST:PORT"));
  }
  to.sin_port = htons(static_cast<uint16_t>(port));
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0) return Failed("socket for", address);
  if (connect(connection, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    absl::Status failed = Failed("connect to", address);
    close(connection);
    return failed;
  }
  return connection;
}

absl::StatusOr<std::string> HttpExchange(const std::string& address, const std::string& request) {
  const absl::StatusOr<int> connection = ConnectTo(address);
  if (!connection.ok()) return connection.status();
  std::string answer;
  absl::Status status;
  if (send(*connection, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    status = Failed("send to", address);
  }
  char part[4096];
  ssize_t size = 0;
  while (status.ok() && (size = recv(*connection, part, sizeof(part), 0)) > 0) {
    answer.append(part, static_cast<size_t>(size));
  }
  if (size < 0) status = Failed("receive from", address);
  close(*connection);
  if (!status.ok()) return status;
  return answer;
}

absl::StatusOr<std::string> HttpGet(const std::string& address, const std::string& page) {
  return HttpExchange(address, absl::StrCat("GET ", page, " HTTP/1.0\r\n\r\n"));
}

}  // namespace gradd
