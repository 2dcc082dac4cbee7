#ifndef GRADD_CORE_DURABILITY_RUN_FOLDER_H_
#define GRADD_CORE_DURABILITY_RUN_FOLDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"

namespace gradd {

// Where one run lies in a state directory, see docs/format.md:
//
//   runs/<run_id>/log-<segment>
//   runs/<run_id>/checkpoint-<timeline>-<step>.safetensors
//   deleted/<uid>/...
//
// Immutable; its methods change files, and whoever calls them sees to it that nobody else changes
// these.
class RunFolder {
 public:
  // `state_directory` as StateDirectory has made it.
  RunFolder(FileSystem* files, std::string state_directory, std::string run_id);

  const std::string& run_id() const { return run_id_; }
  // runs/<run_id>
  const std::string& path() const { return path_; }
  FileSystem& files() const { return files_; }

  // A new and empty one, durable only when the directory above is synced: Publish().
  absl::Status Create() const;
  absl::Status Publish() const;
  // Gives it away to deleted/<uid>, so that nothing of it is found any more; that is durable when
  // this returns OK. OK if there was none.
  absl::Status Bury(const std::string& uid) const;
  // Removes what Bury() has left there. Takes long.
  absl::Status RemoveBuried(const std::string& uid) const;

  // Numbers of the log's segments, in their order.
  absl::StatusOr<std::vector<int64_t>> Segments() const;
  std::string SegmentPath(int64_t segment) const;

  // A checkpoint, by its name.
  struct Checkpoint {
    uint64_t timeline = 0;
    int64_t step = 0;
  };
  // By timeline and step.
  absl::StatusOr<std::vector<Checkpoint>> Checkpoints() const;
  std::string CheckpointPath(const Checkpoint& checkpoint) const;

  // Removes files that were not complete when the server ended.
  absl::Status RemoveTemporary() const;
  absl::Status Sync() const { return files_.SyncDirectory(path_); }

 private:
  FileSystem& files_;
  const std::string state_directory_;
  const std::string run_id_;
  const std::string path_;
};

// checkpoint-1-000000000100.safetensors
std::string CheckpointName(const RunFolder::Checkpoint& checkpoint);
// False if it is no such name.
bool ParseCheckpointName(absl::string_view name, RunFolder::Checkpoint* checkpoint);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_RUN_FOLDER_H_
