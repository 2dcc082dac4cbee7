#ifndef GRADD_CORE_DURABILITY_STATE_DIRECTORY_H_
#define GRADD_CORE_DURABILITY_STATE_DIRECTORY_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/durability/run_folder.h"

namespace gradd {

// Where a server keeps its runs, see docs/format.md: for as long as this is there, no other server
// has it. Thread safe.
class StateDirectory {
 public:
  // Makes it if it is not there; the directory above it has to be. FAILED_PRECONDITION names what
  // is in the way: another server (IN_USE), another format, or files of somebody else.
  static absl::StatusOr<std::unique_ptr<StateDirectory>> Open(FileSystem* files, std::string path);

  const std::string& path() const { return path_; }
  FileSystem& files() const { return files_; }
  // Where a run lies, or would.
  std::shared_ptr<const RunFolder> FolderOf(const std::string& run_id) const;
  // Ids of all runs that have a folder, in their order.
  absl::StatusOr<std::vector<std::string>> RunIds() const;
  // Where a file that somebody sends lies until it was read. What of these a killed server left is
  // gone when Open() returns.
  std::string IncomingPath(const std::string& name) const;
  // Removes what runs have left that were deleted. Takes long.
  void RemoveBuried() const;

 private:
  StateDirectory(FileSystem* files, std::string path, std::unique_ptr<FileLock> lock)
      : files_(*files), path_(std::move(path)), lock_(std::move(lock)) {}
  absl::Status CheckFormat() const;
  absl::Status RemoveIncoming() const;

  FileSystem& files_;
  const std::string path_;
  const std::unique_ptr<FileLock> lock_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_STATE_DIRECTORY_H_
