#ifndef GRADD_SERVER_SOCKET_FILE_H_
#define GRADD_SERVER_SOCKET_FILE_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace gradd {

// The name of a unix-domain socket in the file system, for as long as this lives.
//
// gRPC takes any path over from whoever listens there, and removes at its end whatever is
// there by then. So it binds a path of its own, PrivatePath(), which is then renamed to the one
// that clients know: where somebody listens that fails, and only the own socket is removed.
class SocketFile {
 public:
  // Where the socket for `path` is to be bound.
  static std::string PrivatePath(const std::string& path);

  // Renames the bound socket at PrivatePath(path) to `path`. A socket there to which nobody
  // listens, as a killed server leaves it, is replaced. UNAVAILABLE if somebody does, or if
  // something else has the name.
  static absl::StatusOr<std::unique_ptr<SocketFile>> Publish(const std::string& path);

  // Removes the file, if it is still this socket.
  ~SocketFile();
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

 private:
  SocketFile(std::string path, dev_t device, ino_t inode);

  const std::string path_;
  const dev_t device_;
  const ino_t inode_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_SOCKET_FILE_H_
