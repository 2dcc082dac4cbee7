#include "server/connection_table.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "server/memory_limit.h"

namespace gradd {
namespace {

constexpr absl::Duration kSweepInterval = absl::Milliseconds(100);
// The server's own: listeners, wake-ups, files, the HTTP pages' connections.
constexpr size_t kOwnDescriptors = 512;
// What gRPC keeps for a connection with a stream, and the part of the memory that all may have.
constexpr int64_t kConnectionBytes = 64 << 10;
constexpr int64_t kMemoryShare = 8;
constexpr size_t kFewest = 16;  // However little there is.

// 0 if it is no open socket.
ino_t InodeOf(int descriptor) {
  struct stat found = {};
  return fstat(descriptor, &found) == 0 && S_ISSOCK(found.st_mode) ? found.st_ino : 0;
}

}  // namespace

ConnectionLimits ConnectionLimits::InAll(size_t in_all) {
  return {in_all, std::max<size_t>(1, in_all / 2)};
}

ConnectionLimits ConnectionLimits::Of(size_t descriptors, int64_t memory_bytes) {
  const size_t by_descriptors =
      descriptors > kOwnDescriptors ? (descriptors - kOwnDescriptors) / 2 : 0;
  const auto by_memory = static_cast<size_t>(memory_bytes / kMemoryShare / kConnectionBytes);
  return InAll(std::max(kFewest, std::min(by_descriptors, by_memory)));
}

ConnectionLimits ConnectionLimits::OfThisProcess() {
  rlimit files = {};
  const bool known = getrlimit(RLIMIT_NOFILE, &files) == 0;
  const MemoryLimits memory = ReadMemoryLimits();
  const int64_t bytes = memory.address_space_bytes > 0
                            ? std::min(memory.memory_bytes, memory.address_space_bytes)
                            : memory.memory_bytes;
  return Of(known ? static_cast<size_t>(files.rlim_cur) : 0, bytes);
}

ConnectionTable::Verdict ConnectionTable::Check(const std::string& peer) const {
  if (connections_.size() >= limits_.in_all) return Verdict::kTooMany;
  const auto of_peer = of_peer_.find(peer);
  if (of_peer != of_peer_.end() && of_peer->second >= limits_.per_peer) {
    return Verdict::kTooManyOfPeer;
  }
  return Verdict::kAdmitted;
}

ConnectionTable::Verdict ConnectionTable::Admit(int descriptor, const std::string& peer,
                                                absl::Duration now) {
  // The one that had this number is closed.
  if (const auto old = connections_.find(descriptor); old != connections_.end()) Forget(old);
  Verdict verdict = Check(peer);
  if (verdict != Verdict::kAdmitted && now - swept_ >= kSweepInterval) {
    swept_ = now;
    ForgetClosed();
    verdict = Check(peer);
  }
  if (verdict != Verdict::kAdmitted) return verdict;
  connections_[descriptor] = {InodeOf(descriptor), peer};
  ++of_peer_[peer];
  return verdict;
}

ConnectionTable::Connections::iterator ConnectionTable::Forget(Connections::iterator connection) {
  const auto of_peer = of_peer_.find(connection->second.peer);
  GRADD_DCHECK(of_peer != of_peer_.end() && of_peer->second > 0,
               absl::StrCat("no connection of ", connection->second.peer, " is counted"));
  if (--of_peer->second == 0) of_peer_.erase(of_peer);
  return connections_.erase(connection);
}

void ConnectionTable::ForgetClosed() {
  for (auto it = connections_.begin(); it != connections_.end();) {
    it = InodeOf(it->first) == it->second.inode ? std::next(it) : Forget(it);
  }
}

void ConnectionTable::ShutDownAll() {
  ForgetClosed();
  for (const auto& [descriptor, connection] : connections_) shutdown(descriptor, SHUT_RDWR);
}

}  // namespace gradd
