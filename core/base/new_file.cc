#include "core/base/new_file.h"

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
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr int kMaxLinks = 40;  // As the kernel follows.

absl::Status FileError(absl::string_view message) {
  return Error(absl::StatusCode::kFailedPrecondition, "FILE", message);
}

// Where the link at `path`, or a chain of them, leads, if there is nothing there yet; `path` if it
// is no link.
std::filesystem::path FollowLinks(std::filesystem::path path, std::error_code* error) {
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(path, *error));
       ++links) {
    if (links == kMaxLinks) {
      *error = std::make_error_code(std::errc::too_many_symbolic_link_levels);
      return path;
    }
    const std::filesystem::path target = std::filesystem::read_symlink(path, *error);
    if (*error) return path;
    path = path.parent_path() / target;
  }
  error->clear();
  return path;
}

// As /dev/stdout is, where that leads to a file.
bool IsStandardOutput(const struct stat& file) {
  struct stat output = {};
  return fstat(STDOUT_FILENO, &output) == 0 && output.st_dev == file.st_dev &&
         output.st_ino == file.st_ino;
}

// The process's file mode creation mask, as it was when this was first asked: to ask is to set it,
// for all threads.
mode_t Mask() {
  static const mode_t mask = [] {
    const mode_t found = umask(0);
    umask(found);
    return found;
  }();
  return mask;
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
  const std::filesystem::path file = FollowLinks(path, &error);
  if (error) return refuse(error.message());
  std::string target = std::filesystem::weakly_canonical(file, error).string();
  if (error) return refuse(error.message());
  std::string temporary = absl::StrCat(target, ".XXXXXX");
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return refuse(std::strerror(errno));
  // mkostemp() makes a file for its owner alone; this one shall be as what it replaces, or as any
  // other.
  const mode_t mask = Mask();
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

}  // namespace gradd
