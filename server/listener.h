#ifndef GRADD_SERVER_LISTENER_H_
#define GRADD_SERVER_LISTENER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/address.h"
#include "server/descriptor.h"

namespace gradd {

// A connection that was accepted.
struct Accepted {
  Descriptor socket;
  std::string peer;   // The address without the port: all processes of a host, or all of this one.
  int listener = -1;  // The descriptor that it came by.
};

// The sockets that listen on one address, and how a connection is taken from them. It stays usable
// when the process has no descriptors left: then connections are accepted with one kept in reserve,
// only to be closed, so that their peers hear of it and the queue does not fill up with the dead.
//
// Not thread safe.
class Listener {
 public:
  // All addresses of the host's name, all with the same port. UNAVAILABLE, with the reason, if one
  // cannot be had; a port is never shared with another process.
  static absl::StatusOr<Listener> BindTcp(const HostPort& address);
  // A socket at `path`, where nothing may be but a socket that nobody listens to any more.
  static absl::StatusOr<Listener> BindUnix(const std::string& path);

  Listener(Listener&&) = default;
  Listener& operator=(Listener&&) = default;

  // The port that was bound.
  int port() const { return port_; }
  // To be polled for reading.
  const std::vector<Descriptor>& sockets() const { return sockets_; }

  // Takes a connection from one of the sockets. Its descriptor does not block, is closed on exec,
  // and has no delay (TCP_NODELAY). UNAVAILABLE when none is there; RESOURCE_EXHAUSTED when there
  // was one and no descriptor for it (it has been closed); INTERNAL for all else, which is passing.
  absl::StatusOr<Accepted> Accept(const Descriptor& socket);

 private:
  Listener();

  std::vector<Descriptor> sockets_;
  Descriptor reserve_;
  int port_ = 0;
};

}  // namespace gradd

#endif  // GRADD_SERVER_LISTENER_H_
