#include "server/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace gradd {
namespace {

constexpr int kBacklog = 4096;  // The kernel takes less where net.core.somaxconn says so.

absl::Status SocketError(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::strerror(errno)));
}

Descriptor NewSocket(int family) {
  return Descriptor(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void SetOption(const Descriptor& socket, int level, int option) {
  const int on = 1;
  setsockopt(socket.get(), level, option, &on, sizeof(on));
}

Descriptor OpenReserve() { return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

void SetPort(sockaddr* address, int port) {
  const auto number = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = number;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = number;
  }
}

int PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

// Without the port. An IPv4 address that came by an IPv6 socket is the same peer as by another.
std::string PeerOf(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr, text,
              sizeof(text));
  } else if (address.ss_family == AF_INET6) {
    const in6_addr& ip = reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&ip)) {
      inet_ntop(AF_INET, &ip.s6_addr[12], text, sizeof(text));
    } else {
      // One host has all addresses of its network.
      in6_addr network = ip;
      std::memset(&network.s6_addr[8], 0, 8);
      inet_ntop(AF_INET6, &network, text, sizeof(text));
    }
  } else {
    return "unix";
  }
  return text;
}

}  // namespace

Listener::Listener() : reserve_(OpenReserve()) {}

absl::StatusOr<Listener> Listener::BindTcp(const HostPort& address) {
  std::string host = address.host;
  if (absl::string_view inner = host;
      absl::ConsumePrefix(&inner, "[") && absl::ConsumeSuffix(&inner, "]")) {
    host = std::string(inner);
  }
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::UnavailableError(gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> all(found, &freeaddrinfo);
  Listener listener;
  listener.port_ = address.port;
  absl::Status missing;  // A machine without IPv6 may still have names for it.
  for (addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Descriptor socket = NewSocket(one->ai_family);
    if (!socket && errno == EAFNOSUPPORT) {
      missing = SocketError("socket");
      continue;
    }
    if (!socket) return SocketError("socket");
    // Connections of the server before this one may still be in TIME_WAIT; one that listens keeps
    // the port all the same.
    SetOption(socket, SOL_SOCKET, SO_REUSEADDR);
    SetOption(socket, IPPROTO_TCP, TCP_NODELAY);  // Connections inherit it.
    SetPort(one->ai_addr, listener.port_);
    if (bind(socket.get(), one->ai_addr, one->ai_addrlen) != 0) {
      if (errno != EADDRNOTAVAIL) return SocketError("bind");
      missing = SocketError("bind");
      continue;
    }
    if (listen(socket.get(), kBacklog) != 0) return SocketError("listen");
    sockaddr_storage bound = {};
    socklen_t size = sizeof(bound);
    if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
      return SocketError("getsockname");
    }
    listener.port_ = PortOf(bound);
    listener.sockets_.push_back(std::move(socket));
  }
  if (listener.sockets_.empty()) return missing;
  return listener;
}

absl::StatusOr<Listener> Listener::BindUnix(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::UnavailableError(absl::StrCat("a path of ", path.size(), " bytes, at most ",
                                               sizeof(address.sun_path) - 1, " expected"));
  }
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  struct stat found = {};
  if (lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) unlink(path.c_str());
  Listener listener;
  Descriptor socket = NewSocket(AF_UNIX);
  if (!socket) return SocketError("socket");
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return SocketError("bind");
  }
  if (listen(socket.get(), kBacklog) != 0) return SocketError("listen");
  listener.sockets_.push_back(std::move(socket));
  return listener;
}

absl::StatusOr<Accepted> Listener::Accept(const Descriptor& socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  const auto accept = [&] {
    return Descriptor(accept4(socket.get(), reinterpret_cast<sockaddr*>(&address), &size,
                              SOCK_NONBLOCK | SOCK_CLOEXEC));
  };
  if (!reserve_) reserve_ = OpenReserve();
  Descriptor connection = accept();
  if (connection) return Accepted{std::move(connection), PeerOf(address), socket.get()};
  switch (errno) {
    case EAGAIN:
      return absl::UnavailableError("no connection waits");
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM: {
      const std::string error = std::strerror(errno);
      reserve_.Reset();
      connection = accept();
      connection.Reset();
      reserve_ = OpenReserve();
      return absl::ResourceExhaustedError(error);
    }
    default:  // The connection's own: it is gone again, for instance.
      return absl::InternalError(std::strerror(errno));
  }
}

}  // namespace gradd
