#include "server/guarded_receive.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/types/span.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "server/frame_guard.h"

namespace gradd {
namespace {

// A number that no other socket has or will have; 0 where the system has none.
uint64_t CookieOf(int descriptor) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size);
  return cookie;
}

// What is known of a descriptor's number: who closes the socket does not say so, and the number may
// be another's by now.
class Watched {
 public:
  void Begin(int descriptor, std::shared_ptr<CallRate> rate) {
    MutexLock lock(&mutex_);
    cookie_ = CookieOf(descriptor);
    guard_.emplace(std::move(rate));
  }

  bool Take(int descriptor, const msghdr& message, size_t size) {
    MutexLock lock(&mutex_);
    if (CookieOf(descriptor) != cookie_) return true;
    const absl::Duration now = Clock::Real()->Elapsed();
    for (size_t i = 0; i < message.msg_iovlen && size > 0; ++i) {
      const iovec& part = message.msg_iov[i];
      const size_t taken = std::min(size, part.iov_len);
      if (!guard_->Take({static_cast<const uint8_t*>(part.iov_base), taken}, now)) return false;
      size -= taken;
    }
    return true;
  }

 private:
  Mutex mutex_;
  uint64_t cookie_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<FrameGuard> guard_ ABSL_GUARDED_BY(mutex_);
};

// By descriptor. Pages of it that are not used take no memory; what it points to is used again by
// the next socket of the same number.
constexpr size_t kMaxDescriptors = 1 << 20;
std::array<std::atomic<Watched*>, kMaxDescriptors> g_watched;

// Whether what was received by `descriptor` is within bounds.
bool WithinBounds(int descriptor, const msghdr& message, size_t size) {
  const auto index = static_cast<size_t>(descriptor);
  if (index >= kMaxDescriptors) return true;
  Watched* const watched = g_watched[index].load(std::memory_order_acquire);
  return watched == nullptr || watched->Take(descriptor, message, size);
}

}  // namespace

bool GuardReceived(int descriptor, std::shared_ptr<CallRate> rate) {
  const auto index = static_cast<size_t>(descriptor);
  if (index >= kMaxDescriptors) return false;
  Watched* watched = g_watched[index].load(std::memory_order_acquire);
  if (watched == nullptr) watched = new Watched;
  watched->Begin(descriptor, std::move(rate));
  g_watched[index].store(watched, std::memory_order_release);
  return true;
}

}  // namespace gradd

extern "C" ssize_t recvmsg(int descriptor, msghdr* message, int flags) {
  const ssize_t size = syscall(SYS_recvmsg, descriptor, message, flags);
  if (size <= 0 || (flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0 ||
      gradd::WithinBounds(descriptor, *message, static_cast<size_t>(size))) {
    return size;
  }
  shutdown(descriptor, SHUT_RDWR);
  errno = ECONNRESET;
  return -1;
}
