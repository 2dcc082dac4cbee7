#ifndef GRADD_CORE_BASE_FILE_SYSTEM_H_
#define GRADD_CORE_BASE_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace gradd {

// A file that is written from front to back. It is closed when this goes. Not thread safe.
class WritableFile {
 public:
  WritableFile() = default;
  virtual ~WritableFile() = default;
  WritableFile(const WritableFile&) = delete;
  WritableFile& operator=(const WritableFile&) = delete;

  // Bytes in it.
  virtual int64_t size() const = 0;
  // Adds the pieces at the end, one after the other. After an error nobody knows how much of them
  // is there; size() is what it was.
  virtual absl::Status Append(absl::Span<const absl::string_view> pieces) = 0;
  // Cuts it off there; not more than size().
  virtual absl::Status Truncate(int64_t size) = 0;
  // What was written is durable when this returns OK. After an error it may be lost, even where a
  // later call returns OK.
  virtual absl::Status Sync() = 0;
};

// A file that is read. Thread safe.
class ReadableFile {
 public:
  ReadableFile() = default;
  virtual ~ReadableFile() = default;
  ReadableFile(const ReadableFile&) = delete;
  ReadableFile& operator=(const ReadableFile&) = delete;

  // Bytes in it when it was opened.
  virtual int64_t size() const = 0;
  // Reads `size` bytes from `offset` on. OUT_OF_RANGE, with the reason FILE, if it ends before.
  virtual absl::Status Read(int64_t offset, int64_t size, char* to) const = 0;
};

// A claim of a file that no other process has at the same time; until this goes.
class FileLock {
 public:
  FileLock() = default;
  virtual ~FileLock() = default;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
};

// What is kept on disk is written and read through this, so that tests can have it fail.
//
// A file that was created, renamed or removed is so after a crash only if its directory was synced
// since. Symbolic links at the end of a path are never followed.
//
// Errors name the path and what the system said. Their reason is FILE; but DISK_FULL, with the code
// RESOURCE_EXHAUSTED, where there is no room left (or a quota or the limit of a file's size is
// reached), and FILE_NOT_FOUND, with NOT_FOUND, where there is no such file. Thread safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // That of the machine.
  static FileSystem* Real();

  // A new and empty file, readable and writable by its owner alone. ALREADY_EXISTS if there is one
  // of that name.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // An existing one, to go on at its end.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> OpenToAppend(const std::string& path) = 0;
  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> OpenToRead(const std::string& path) = 0;
  // In place of any file that has the name `to`.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;

  // For its owner alone. OK if it is there already.
  virtual absl::Status CreateDirectory(const std::string& path) = 0;
  // One that is empty.
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;
  // Names of what is in it, without "." and "..", in their order.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& directory) = 0;
  // What was created, renamed and removed in it is durable.
  virtual absl::Status SyncDirectory(const std::string& directory) = 0;

  // Creates the file if need be. FAILED_PRECONDITION, with the reason IN_USE, if another process,
  // or this one, has it.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

// Whether that is the error of a file system without room.
bool IsDiskFull(const absl::Status& status);

// ---- For who implements one: errors as FileSystem says. ----

// `cannot WHAT PATH: ...`, for a number of the system, such as EIO.
absl::Status FileSystemError(absl::string_view what, absl::string_view path, int error);
// A file ends at byte `end`, and was to be read up to `expected`.
absl::Status EndOfFileError(absl::string_view path, int64_t end, int64_t expected);
// Somebody has the lock.
absl::Status InUseError(absl::string_view path);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_FILE_SYSTEM_H_
