#ifndef GRADD_CORE_DURABILITY_SAFETENSORS_WRITER_H_
#define GRADD_CORE_DURABILITY_SAFETENSORS_WRITER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "core/durability/safetensors_header.h"

namespace gradd {

// Writes a safetensors file from front to back: the header, then the data of its tensors in their
// order, in pieces of any size. Not thread safe.
class SafetensorsWriter {
 public:
  // Writes the header of `header->tensors`, whose places it sets, to the new `file`, which outlives
  // this. See FormatSafetensorsHeader() for what cannot be written.
  static absl::StatusOr<SafetensorsWriter> Begin(SafetensorsHeader* header, WritableFile* file);

  // The next bytes of the data, at most bytes_left().
  absl::Status Append(absl::string_view data);
  // Of the data that is still to come.
  int64_t bytes_left() const { return bytes_left_; }

 private:
  SafetensorsWriter(WritableFile* file, int64_t bytes) : file_(file), bytes_left_(bytes) {}

  WritableFile* file_;
  int64_t bytes_left_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_SAFETENSORS_WRITER_H_
