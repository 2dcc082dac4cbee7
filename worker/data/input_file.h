#ifndef GRADD_WORKER_DATA_INPUT_FILE_H_
#define GRADD_WORKER_DATA_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gradd {

// A data file, read from front to back; gzip is unpacked on the way. Errors name the
// file and, for broken gzip, what zlib found.
class InputFile {
 public:
  static absl::StatusOr<InputFile> Open(const std::string& path);

  const std::string& path() const { return path_; }

  // Reads up to `size` bytes; fewer only at the end of the data. A gzip stream that
  // ends in the middle is an error, not an end.
  absl::StatusOr<size_t> Read(size_t size, uint8_t* bytes);

  // Reads exactly `size` bytes, however large. Memory grows with the data that is
  // really there, so that a header's lie costs nothing. `what` is for the error.
  absl::StatusOr<std::vector<uint8_t>> ReadExactly(int64_t size, const std::string& what);

 private:
  struct Closer {
    void operator()(void* file) const;
  };
  InputFile(std::string path, void* file) : path_(std::move(path)), file_(file) {}

  std::string path_;
  std::unique_ptr<void, Closer> file_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_DATA_INPUT_FILE_H_
