#include "ctl/new_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ctl/status.h"

namespace gradd::ctl {
namespace {

// As /dev/stdout is, where that leads to a file.
bool IsStandardOutput(const struct stat& file) {
  struct stat output = {};
  return fstat(STDOUT_FILENO, &output) == 0 && output.st_dev == file.st_dev &&
         output.st_ino == file.st_ino;
}

}  // namespace

NewFile::NewFile(std::string path, std::string target, std::string temporary, int descriptor)
    : path_(std::move(path)),
      target_(std::move(target)),
      temporary_(std::move(temporary)),
      descriptor_(descriptor) {}

absl::StatusOr<std::unique_ptr<NewFile>> NewFile::Create(const std::string& path) {
  const auto refuse = [&path](absl::string_view why) {
    return FileError(absl::StrCat("cannot write ", path, ": ", why));
  };
  struct stat found = {};
  const bool exists = stat(path.c_str(), &found) == 0;
  if (exists) {
    if (!S_ISREG(found.st_mode)) return refuse("it exists and is not a regular file");
    if (IsStandardOutput(found)) return refuse("it is the standard output");
  }
  std::error_code error;
  std::string target = std::filesystem::weakly_canonical(path, error).string();
  if (error) return refuse(error.message());
  std::string temporary = absl::StrCat(target, ".XXXXXX");
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return refuse(std::strerror(errno));
  // mkostemp() makes a file for its owner alone; this one shall be as what it replaces, or as any
  // other.
  const mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, exists ? found.st_mode & 07777 : 0666 & ~mask);
  return std::unique_ptr<NewFile>(
      new NewFile(path, std::move(target), std::move(temporary), descriptor));
}

NewFile::~NewFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!committed_) unlink(temporary_.c_str());
}

absl::Status NewFile::IoError(absl::string_view what) const {
  return FileError(absl::StrCat("cannot ", what, " ", path_, ": ", std::strerror(errno)));
}

absl::Status NewFile::Write(absl::string_view data) {
  while (!data.empty()) {
    const ssize_t written = write(descriptor_, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return IoError("write");
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status NewFile::Restart() {
  if (ftruncate(descriptor_, 0) != 0 || lseek(descriptor_, 0, SEEK_SET) != 0) {
    return IoError("write");
  }
  return absl::OkStatus();
}

absl::Status NewFile::Commit() {
  if (fsync(descriptor_) != 0) return IoError("write");
  const int closed = close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) return IoError("write");
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) return IoError("rename to");
  committed_ = true;
  return absl::OkStatus();
}

}  // namespace gradd::ctl
