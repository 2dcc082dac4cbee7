#ifndef GRADD_CORE_DURABILITY_INCOMING_FILE_H_
#define GRADD_CORE_DURABILITY_INCOMING_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "core/base/memory_budget.h"

namespace gradd {

// A file that somebody sends from front to back, of a length that is known: kept until it was read,
// and gone after it. Not thread safe, but for what Read() gives.
class IncomingFile {
 public:
  virtual ~IncomingFile() = default;
  IncomingFile(const IncomingFile&) = delete;
  IncomingFile& operator=(const IncomingFile&) = delete;

  // In a file at `path`, which nobody else has. It is removed with this. Errors are those of
  // FileSystem.
  static absl::StatusOr<std::unique_ptr<IncomingFile>> OnDisk(FileSystem* files, std::string path,
                                                              int64_t bytes);
  // In memory: all of it is claimed now, as scratch. RESOURCE_EXHAUSTED if so much is not left;
  // `name` is what the message calls the file.
  static absl::StatusOr<std::unique_ptr<IncomingFile>> InMemory(MemoryBudget* budget,
                                                                absl::string_view name,
                                                                int64_t bytes);

  // Of the whole file; and what has come.
  int64_t bytes() const { return bytes_; }
  int64_t received() const { return received_; }

  // The next part. Not more than is missing.
  absl::Status Append(absl::string_view data);

  // To read what has come, OUT_OF_RANGE for the rest; its size() is bytes(). It must not outlive
  // this.
  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> Read() const = 0;

 protected:
  explicit IncomingFile(int64_t bytes) : bytes_(bytes) {}

 private:
  virtual absl::Status Add(absl::string_view data) = 0;

  const int64_t bytes_;
  int64_t received_ = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_INCOMING_FILE_H_
