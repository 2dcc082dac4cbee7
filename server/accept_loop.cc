#include "server/accept_loop.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "server/guarded_receive.h"

namespace gradd {
namespace {

// How long nothing is accepted when nothing can be: the queue's end would spin otherwise.
constexpr int kPauseMs = 100;
constexpr absl::Duration kLogInterval = absl::Seconds(10);
// Connections leave so many descriptors, or a quarter of all if that is less, for the pages, which
// say how the server is, and for files.
constexpr rlim_t kSpareDescriptors = 64;

// Whether enough are left beside the new descriptor, which has the lowest free number.
bool LeavesDescriptors(int descriptor) {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return true;
  const rlim_t spare = std::min(kSpareDescriptors, files.rlim_cur / 4);
  return static_cast<rlim_t>(descriptor) < files.rlim_cur - spare;
}

}  // namespace

AcceptLoop::AcceptLoop(Listener listener, const ConnectionLimits& limits,
                       std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor)
    : listener_(std::move(listener)),
      table_(limits),
      acceptor_(std::move(acceptor)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { Run(); }) {}

void AcceptLoop::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void AcceptLoop::Run() {
  std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
  for (const Descriptor& socket : listener_.sockets()) polled.push_back({socket.get(), POLLIN, 0});
  while (true) {
    if (poll(polled.data(), polled.size(), -1) < 0) continue;  // A signal.
    if (polled[0].revents != 0) return;
    bool pause = false;
    for (size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      pause = !AcceptFrom(listener_.sockets()[i - 1]) || pause;
    }
    if (pause) poll(polled.data(), 1, kPauseMs);
  }
}

bool AcceptLoop::AcceptFrom(const Descriptor& socket) {
  absl::StatusOr<Accepted> accepted = listener_.Accept(socket);
  if (!accepted.ok()) {
    if (accepted.status().code() != absl::StatusCode::kResourceExhausted) return true;
    accepting_.store(false);
    Refused(std::string(accepted.status().message()));
    return false;
  }
  accepting_.store(true);
  if (!LeavesDescriptors(accepted->socket.get())) {
    Refused("few descriptors are left");
    return true;
  }
  const ConnectionLimits& limits = table_.limits();
  const absl::Duration now = Clock::Real()->Elapsed();
  switch (table_.Admit(accepted->socket.get(), accepted->peer, now)) {
    case ConnectionTable::Verdict::kTooMany:
      Refused(absl::StrCat("there are ", limits.in_all, ", the most there may be"));
      return true;
    case ConnectionTable::Verdict::kTooManyOfPeer:
      Refused(absl::StrCat(accepted->peer, " has ", limits.per_peer, ", the most a peer may have"));
      return true;
    case ConnectionTable::Verdict::kAdmitted:
      break;
  }
  if (!GuardReceived(accepted->socket.get(), rates_.Of(accepted->peer, now))) {
    Refused("the number of its descriptor is too high");
    return true;
  }
  grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
  connection.listener_fd = accepted->listener;
  connection.fd = accepted->socket.Release();
  acceptor_->HandleNewConnection(&connection);
  return true;
}

void AcceptLoop::Refused(const std::string& why) {
  ++refused_;
  const absl::Duration now = Clock::Real()->Elapsed();
  if (now - logged_ < kLogInterval) return;
  logged_ = now;
  spdlog::warn("{} connections were refused: {}", std::exchange(refused_, 0), why);
}

}  // namespace gradd
