#include "tests/support/flaky_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "tests/support/loopback.h"

namespace gradd {
namespace {

constexpr int kPollMs = 5;

}  // namespace

FlakyProxy::FlakyProxy(const std::string& target, int receive_bytes)
    : target_port_(std::stoi(target.substr(target.rfind(':') + 1))) {
  listener_ = socket(AF_INET, SOCK_STREAM, 0);
  if (receive_bytes > 0) {
    setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
  }
  sockaddr_in address = Loopback(0);
  bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  listen(listener_, 64);
  socklen_t size = sizeof(address);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  acceptor_ = std::thread([this] { Accept(); });
}

FlakyProxy::~FlakyProxy() {
  stopping_ = true;
  acceptor_.join();
  close(listener_);
}

void FlakyProxy::Accept() {
  std::vector<std::thread> connections;
  while (!stopping_) {
    pollfd poller{listener_, POLLIN, 0};
    if (poll(&poller, 1, kPollMs) <= 0) continue;
    const int client = accept(listener_, nullptr, nullptr);
    if (client < 0) continue;
    ++connections_;
    connections.emplace_back([this, client] { Forward(client); });
  }
  for (std::thread& connection : connections) connection.join();
}

void FlakyProxy::Forward(int client) {
  const int64_t generation = cut_generation_;
  const int64_t limit = cut_after_;
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(target_port_);
  const int one = 1;
  setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  bool open = connect(server, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  int64_t client_bytes = 0;
  std::array<char, 65536> buffer;
  while (open && !stopping_ && generation == cut_generation_) {
    std::array<pollfd, 2> pollers = {{{client, POLLIN, 0}, {server, POLLIN, 0}}};
    poll(pollers.data(), held_ ? 0 : pollers.size(), kPollMs);
    if (held_) continue;
    for (const pollfd& poller : pollers) {
      if (!open || poller.revents == 0) continue;
      const bool from_client = poller.fd == client;
      size_t most = buffer.size();
      if (from_client && limit > 0) {
        most = std::min(most, static_cast<size_t>(std::max<int64_t>(1, limit - client_bytes)));
      }
      const ssize_t size = recv(poller.fd, buffer.data(), most, 0);
      open = size > 0 &&
             SendAll(from_client ? server : client, buffer.data(), static_cast<size_t>(size));
      if (from_client && open) client_bytes += size;
      if (limit > 0 && client_bytes >= limit) open = false;
    }
  }
  close(client);
  close(server);
}

}  // namespace gradd
