#include "core/base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

// Nothing at the end of a path is followed or waited for: no link, and no pipe without a reader.
constexpr int kOpenFlags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

// Calls `call` until no signal interrupts it.
template <typename Call>
auto Uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

absl::Status ErrorNow(absl::string_view what, absl::string_view path) {
  return FileSystemError(what, path, errno);
}

// An open file, which is closed with it.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int get() const { return number_; }

 private:
  int number_;
};

absl::StatusOr<Descriptor> Open(absl::string_view what, const std::string& path, int flags) {
  const int number =
      Uninterrupted([&] { return open(path.c_str(), flags | kOpenFlags, kFileMode); });
  if (number < 0) return ErrorNow(what, path);
  return Descriptor(number);
}

// Its size. Devices, pipes and directories are refused.
absl::StatusOr<int64_t> SizeOfRegularFile(const Descriptor& file, const std::string& path) {
  struct stat found = {};
  if (fstat(file.get(), &found) != 0) return ErrorNow("look at", path);
  if (S_ISREG(found.st_mode)) return int64_t{found.st_size};
  return Error(absl::StatusCode::kFailedPrecondition, "FILE",
               absl::StrCat("cannot open ", path, ": it is not a regular file"));
}

class RealWritableFile final : public WritableFile {
 public:
  RealWritableFile(Descriptor file, std::string path, int64_t size)
      : file_(std::move(file)), path_(std::move(path)), size_(size) {}

  int64_t size() const override { return size_; }

  absl::Status Append(absl::Span<const absl::string_view> pieces) override {
    int64_t end = size_;
    // As many pieces as one call of the system takes.
    std::array<iovec, 64> parts;
    static_assert(parts.size() <= IOV_MAX);
    size_t next = 0;
    while (next < pieces.size()) {
      size_t count = 0;
      for (; next < pieces.size() && count < parts.size(); ++next) {
        if (pieces[next].empty()) continue;
        parts[count++] = {const_cast<char*>(pieces[next].data()), pieces[next].size()};
      }
      GRADD_RETURN_IF_ERROR(Write(absl::MakeSpan(parts.data(), count), &end));
    }
    size_ = end;
    return absl::OkStatus();
  }

  absl::Status Truncate(int64_t size) override {
    if (Uninterrupted([&] { return ftruncate(file_.get(), size); }) != 0) {
      return ErrorNow("shorten", path_);
    }
    size_ = size;
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (Uninterrupted([&] { return fdatasync(file_.get()); }) == 0) return absl::OkStatus();
    return ErrorNow("sync", path_);
  }

 private:
  // Writes all of `parts` from `end` on, and moves that. The system may take less than it is given.
  absl::Status Write(absl::Span<iovec> parts, int64_t* end) {
    while (!parts.empty()) {
      const ssize_t written = Uninterrupted(
          [&] { return pwritev(file_.get(), parts.data(), static_cast<int>(parts.size()), *end); });
      if (written < 0) return ErrorNow("write", path_);
      // None of our parts is empty, so this would go on forever.
      if (written == 0) return FileSystemError("write", path_, EIO);
      *end += written;
      auto left = static_cast<size_t>(written);
      while (!parts.empty() && left >= parts[0].iov_len) {
        left -= parts[0].iov_len;
        parts.remove_prefix(1);
      }
      if (left == 0) continue;
      parts[0].iov_base = static_cast<char*>(parts[0].iov_base) + left;
      parts[0].iov_len -= left;
    }
    return absl::OkStatus();
  }

  const Descriptor file_;
  const std::string path_;
  int64_t size_;
};

class RealReadableFile final : public ReadableFile {
 public:
  RealReadableFile(Descriptor file, std::string path, int64_t size)
      : file_(std::move(file)), path_(std::move(path)), size_(size) {}

  int64_t size() const override { return size_; }

  absl::Status Read(int64_t offset, int64_t size, char* to) const override {
    int64_t done = 0;
    while (done < size) {
      const ssize_t read = Uninterrupted([&] {
        return pread(file_.get(), to + done, static_cast<size_t>(size - done), offset + done);
      });
      if (read < 0) return ErrorNow("read", path_);
      if (read == 0) return EndOfFileError(path_, offset + done, offset + size);
      done += read;
    }
    return absl::OkStatus();
  }

 private:
  const Descriptor file_;
  const std::string path_;
  const int64_t size_;
};

// The system lets go of the lock when the descriptor is closed, also where the process is killed.
class RealFileLock final : public FileLock {
 public:
  explicit RealFileLock(Descriptor file) : file_(std::move(file)) {}

 private:
  const Descriptor file_;
};

class RealFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    auto file = Open("create", path, O_WRONLY | O_CREAT | O_EXCL);
    GRADD_RETURN_IF_ERROR(file.status());
    return std::make_unique<RealWritableFile>(*std::move(file), path, 0);
  }

  absl::StatusOr<std::unique_ptr<WritableFile>> OpenToAppend(const std::string& path) override {
    auto file = Open("open", path, O_WRONLY);
    GRADD_RETURN_IF_ERROR(file.status());
    const absl::StatusOr<int64_t> size = SizeOfRegularFile(*file, path);
    GRADD_RETURN_IF_ERROR(size.status());
    return std::make_unique<RealWritableFile>(*std::move(file), path, *size);
  }

  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenToRead(const std::string& path) override {
    auto file = Open("open", path, O_RDONLY);
    GRADD_RETURN_IF_ERROR(file.status());
    const absl::StatusOr<int64_t> size = SizeOfRegularFile(*file, path);
    GRADD_RETURN_IF_ERROR(size.status());
    return std::make_unique<RealReadableFile>(*std::move(file), path, *size);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return ErrorNow("rename", absl::StrCat(from, " to ", to));
  }

  absl::Status Remove(const std::string& path) override {
    return unlink(path.c_str()) == 0 ? absl::OkStatus() : ErrorNow("remove", path);
  }

  absl::Status CreateDirectory(const std::string& path) override {
    if (mkdir(path.c_str(), kDirectoryMode) == 0) return absl::OkStatus();
    const int error = errno;
    struct stat found = {};
    if (error == EEXIST && lstat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) {
      return absl::OkStatus();
    }
    return FileSystemError("create directory", path, error == EEXIST ? ENOTDIR : error);
  }

  absl::Status RemoveDirectory(const std::string& path) override {
    return rmdir(path.c_str()) == 0 ? absl::OkStatus() : ErrorNow("remove directory", path);
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& directory) override {
    const int number =
        Uninterrupted([&] { return open(directory.c_str(), O_RDONLY | O_DIRECTORY | kOpenFlags); });
    DIR* const stream = number < 0 ? nullptr : fdopendir(number);
    if (stream == nullptr) {
      const int error = errno;
      if (number >= 0) close(number);
      return FileSystemError("list", directory, error);
    }
    std::vector<std::string> names;
    // The end and an error look the same but for errno.
    for (errno = 0; const dirent* const entry = readdir(stream); errno = 0) {
      const absl::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    const int error = errno;
    closedir(stream);
    if (error != 0) return FileSystemError("list", directory, error);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::Status SyncDirectory(const std::string& directory) override {
    const auto file = Open("sync directory", directory, O_RDONLY | O_DIRECTORY);
    GRADD_RETURN_IF_ERROR(file.status());
    if (Uninterrupted([&] { return fsync(file->get()); }) == 0) return absl::OkStatus();
    return ErrorNow("sync directory", directory);
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    auto file = Open("lock", path, O_RDWR | O_CREAT);
    GRADD_RETURN_IF_ERROR(file.status());
    if (Uninterrupted([&] { return flock(file->get(), LOCK_EX | LOCK_NB); }) != 0) {
      return errno == EWOULDBLOCK ? InUseError(path) : ErrorNow("lock", path);
    }
    return std::make_unique<RealFileLock>(*std::move(file));
  }
};

}  // namespace

absl::Status FileSystemError(absl::string_view what, absl::string_view path, int error) {
  const std::string message = absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Error(absl::StatusCode::kResourceExhausted, "DISK_FULL", message);
    case ENOENT:
      return Error(absl::StatusCode::kNotFound, "FILE_NOT_FOUND", message);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Error(absl::StatusCode::kUnavailable, "FILE", message);
    case EACCES:
    case EPERM:
      return Error(absl::StatusCode::kPermissionDenied, "FILE", message);
    case EEXIST:
      return Error(absl::StatusCode::kAlreadyExists, "FILE", message);
    default:
      return Error(absl::StatusCode::kFailedPrecondition, "FILE", message);
  }
}

absl::Status EndOfFileError(absl::string_view path, int64_t end, int64_t expected) {
  return Error(absl::StatusCode::kOutOfRange, "FILE",
               absl::StrCat("cannot read ", path, ": it ends at byte ", end, ", ", expected,
                            " bytes expected"));
}

absl::Status InUseError(absl::string_view path) {
  return Error(absl::StatusCode::kFailedPrecondition, "IN_USE",
               absl::StrCat("cannot lock ", path, ": another process has it"));
}

bool IsDiskFull(const absl::Status& status) {
  return status.code() == absl::StatusCode::kResourceExhausted && ReasonOf(status) == "DISK_FULL";
}

FileSystem* FileSystem::Real() {
  static FileSystem* const real = new RealFileSystem;  // Never destroyed: threads may outlive main.
  return real;
}

}  // namespace gradd
