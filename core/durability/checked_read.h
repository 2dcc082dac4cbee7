#ifndef GRADD_CORE_DURABILITY_CHECKED_READ_H_
#define GRADD_CORE_DURABILITY_CHECKED_READ_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/executor.h"
#include "core/base/file_system.h"

namespace gradd {

// Where some bytes of a file belong.
struct FilePart {
  int64_t begin;  // In the file.
  int64_t bytes;
  char* to;
};

// Reads the first `bytes` of a file, puts those of `parts` where they belong, and returns the
// checksum of all of them, see FileChecksum. `parts` do not overlap, neither in the file nor in
// memory. It is done on the threads of `executor`; null: by the caller. Takes little memory, and
// throws std::bad_alloc if that is not there.
absl::StatusOr<std::string> ReadChecked(const ReadableFile& file, int64_t bytes,
                                        std::vector<FilePart> parts, Executor* executor);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_CHECKED_READ_H_
