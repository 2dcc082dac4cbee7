#ifndef GRADD_SERVER_CONNECTION_TABLE_H_
#define GRADD_SERVER_CONNECTION_TABLE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"

namespace gradd {

// How many connections there may be at a time.
struct ConnectionLimits {
  size_t in_all = 0;
  size_t per_peer = 0;

  // So many; a peer may have half of them, so that no single host can lock out the others.
  static ConnectionLimits InAll(size_t in_all);
  // What a process can bear: a connection takes a descriptor and some memory. Half of the
  // descriptors, less some for the server itself, are for shared memory and all else.
  static ConnectionLimits Of(size_t descriptors, int64_t memory_bytes);
  // The same for this process as it is.
  static ConnectionLimits OfThisProcess();
};

// The connections that were handed to somebody who closes their descriptors without a word, as gRPC
// does. That a descriptor is closed shows by its inode: it is another's, or none's.
//
// Not thread safe.
class ConnectionTable {
 public:
  explicit ConnectionTable(const ConnectionLimits& limits) : limits_(limits) {}

  enum class Verdict { kAdmitted, kTooMany, kTooManyOfPeer };
  // Takes the open socket `descriptor` of `peer` in, if its limits allow. `now` only has to grow:
  // what is closed is looked for where a limit is reached, and not more often than ten times a
  // second, as a flood would have it.
  Verdict Admit(int descriptor, const std::string& peer, absl::Duration now);

  // Shuts down all that are still open: whoever reads or writes there learns that it has ended.
  void ShutDownAll();

  const ConnectionLimits& limits() const { return limits_; }
  size_t size() const { return connections_.size(); }

 private:
  struct Connection {
    ino_t inode = 0;
    std::string peer;
  };
  using Connections = std::unordered_map<int, Connection>;

  Verdict Check(const std::string& peer) const;
  Connections::iterator Forget(Connections::iterator connection);
  void ForgetClosed();

  const ConnectionLimits limits_;
  Connections connections_;  // By descriptor.
  std::unordered_map<std::string, size_t> of_peer_;
  absl::Duration swept_ = -absl::InfiniteDuration();
};

}  // namespace gradd

#endif  // GRADD_SERVER_CONNECTION_TABLE_H_
