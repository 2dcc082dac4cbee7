#ifndef GRADD_CORE_DURABILITY_DURABLE_FILE_H_
#define GRADD_CORE_DURABILITY_DURABLE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"

namespace gradd {

// A file that has its name when it is complete and durable, and not at all before: it is written
// beside it, synced, renamed, and then its directory is synced. Not thread safe.
class DurableFile {
 public:
  // The name of the file while it is written: of `path`. What a killed process left under it is of
  // no use to anyone.
  static std::string TemporaryPath(const std::string& path) { return path + ".tmp"; }

  // Creates the temporary file, in place of any that is left. Nobody else writes `path` at the same
  // time. Each time that `sync_bytes` were written they are synced, so that the system never has
  // more of the file to write at once, and others' syncs are not kept waiting. `files` outlives
  // this.
  static absl::StatusOr<std::unique_ptr<DurableFile>> Create(FileSystem* files, std::string path,
                                                             int64_t sync_bytes);
  // Removes the temporary file, unless that has its name.
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  // Bytes in it.
  int64_t size() const { return size_; }
  // After an error, this file is of no use any more.
  absl::Status Append(absl::Span<const absl::string_view> pieces);
  // Gives it its name, in place of any file that has it. Where the sync of the directory fails, it
  // has its name, and may not have it after a crash.
  absl::Status Commit();

 private:
  DurableFile(FileSystem* files, std::string path, int64_t sync_bytes,
              std::unique_ptr<WritableFile> file)
      : files_(files), path_(std::move(path)), sync_bytes_(sync_bytes), file_(std::move(file)) {}

  FileSystem* const files_;
  const std::string path_;
  const int64_t sync_bytes_;
  std::unique_ptr<WritableFile> file_;  // Null: it has its name.
  int64_t size_ = 0;
  int64_t not_synced_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_DURABLE_FILE_H_
