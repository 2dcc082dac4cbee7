#include "server/socket_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

// Keeps other servers from publishing or removing sockets of this directory, so that what was
// found about a path still holds when it is acted upon.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    descriptor_ = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ >= 0) flock(descriptor_, LOCK_EX);
  }
  ~DirectoryLock() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int descriptor_;
};

// Whether a process accepts connections at `path`.
bool Listens(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return true;  // Not known: better not to take it away.
  const bool connected =
      connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  const bool refused = !connected && errno == ECONNREFUSED;
  close(descriptor);
  return !refused;
}

}  // namespace

std::string SocketFile::PrivatePath(const std::string& path) {
  return absl::StrCat(path, ".", getpid());
}

absl::StatusOr<std::unique_ptr<SocketFile>> SocketFile::Publish(const std::string& path) {
  const DirectoryLock lock(path);
  struct stat found = {};
  if (lstat(path.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode)) {
      return absl::UnavailableError(absl::StrCat(path, " exists and is not a socket"));
    }
    if (Listens(path)) {
      return absl::UnavailableError(
          absl::StrCat(path, ": address in use, another server listens there"));
    }
  }
  const std::string bound = PrivatePath(path);
  if (lstat(bound.c_str(), &found) != 0 || std::rename(bound.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot rename ", bound, " to ", path, ": ", std::strerror(errno)));
  }
  return std::unique_ptr<SocketFile>(new SocketFile(path, found.st_dev, found.st_ino));
}

SocketFile::SocketFile(std::string path, dev_t device, ino_t inode)
    : path_(std::move(path)), device_(device), inode_(inode) {}

SocketFile::~SocketFile() {
  const DirectoryLock lock(path_);
  struct stat found = {};
  if (lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_) {
    unlink(path_.c_str());
  }
}

}  // namespace gradd
