#ifndef GRADD_CORE_DURABILITY_CHECKPOINT_WRITER_H_
#define GRADD_CORE_DURABILITY_CHECKPOINT_WRITER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/file_system.h"
#include "core/durability/durable_file.h"
#include "core/durability/file_checksum.h"
#include "core/durability/safetensors_header.h"
#include "core/run/run_capture.h"
#include "core/store/block.h"

namespace gradd {

// Writes a run that was captured into a file, see checkpoint_format.h, in slices, so that whoever
// does it may do other things in between. The file has its name when it is complete and durable,
// and not at all before.
//
// It lets go of each block as soon as that is written, unless somebody else holds the capture too:
// the run then goes on in it, or the memory is free.
//
// Example:
//   auto writer = CheckpointWriter::Begin(files, path, std::move(capture), {clock->Now()});
//   for (bool done = false; !done;) {
//     absl::StatusOr<bool> some = (*writer)->WriteSome(int64_t{4} << 20);
//     GRADD_RETURN_IF_ERROR(some.status());
//     done = *some;
//   }
//
// Not thread safe.
class CheckpointWriter {
 public:
  struct Options {
    absl::Time time;  // When it was captured.
    // What is written is synced each time that it is so much, so that the system never has more of
    // it to write at once, and others' syncs are not kept waiting.
    int64_t sync_bytes = int64_t{32} << 20;
  };

  // The name of the file while it is written: of `path`.
  static std::string TemporaryPath(const std::string& path) {
    return DurableFile::TemporaryPath(path);
  }

  // Creates the temporary file, see DurableFile, which goes with the writer unless it is complete.
  static absl::StatusOr<std::unique_ptr<CheckpointWriter>> Begin(
      FileSystem* files, std::string path, std::shared_ptr<const RunCapture> capture,
      const Options& options);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Writes up to `max_bytes` >= 1 of it, and syncs that now and then; true: it is complete, durable
  // and under its name. An error is the end: it says what of the file system failed, and all later
  // calls say the same. Whether the file is there then is not known only where the sync of its
  // directory failed.
  absl::StatusOr<bool> WriteSome(int64_t max_bytes);

  // Of the whole file; and what of it is not written yet.
  int64_t bytes() const { return bytes_; }
  int64_t bytes_left() const { return bytes_ - file_->size(); }

 private:
  // Some bytes that are still to be written, and what keeps them.
  struct Part {
    absl::string_view data;
    BlockRef block;
    std::shared_ptr<const void> keeper;
  };

  CheckpointWriter() = default;

  absl::Status Plan(std::shared_ptr<const RunCapture> capture, absl::Time time);
  void AddHeader(std::string header);
  void AddBytes(const void* data, int64_t bytes, std::shared_ptr<const void> keeper);
  void AddVector(const BlockVector& blocks, int64_t begin, int64_t end,
                 const std::shared_ptr<const void>& keeper);
  absl::Status WriteParts(int64_t max_bytes);

  std::deque<Part> parts_;  // But for the checksum.
  int64_t bytes_ = 0;
  int64_t block_elements_ = 0;
  std::unique_ptr<DurableFile> file_;
  FileChecksum checksum_;
  bool done_ = false;
  absl::Status status_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKPOINT_WRITER_H_
