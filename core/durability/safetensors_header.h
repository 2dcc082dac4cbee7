#ifndef GRADD_CORE_DURABILITY_SAFETENSORS_HEADER_H_
#define GRADD_CORE_DURABILITY_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace gradd {

// A file in the format of https://github.com/huggingface/safetensors is
//   8 bytes        length of the header, little-endian
//   header         JSON: {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...},
//                  and perhaps "__metadata__": {"key": "text", ...}; spaces may follow
//   data           of the tensors, one after the other without gaps, row by row, little-endian
// where data_offsets are the first byte of a tensor's data and the one after its last, counted from
// the end of the header.

// No name of a tensor.
inline constexpr char kSafetensorsMetadata[] = "__metadata__";
// No reader takes a longer header.
inline constexpr int64_t kMaxSafetensorsHeaderBytes = 100'000'000;
// Dimensions of a tensor. The format has no limit; libraries for arrays have none higher.
inline constexpr size_t kMaxSafetensorsDimensions = 64;

// What elements are.
struct SafetensorsType {
  const char* name;  // As the format has it, such as "F32".
  int bits;          // Of an element.
};
// Null if the format has no such type. What it returns lives forever.
const SafetensorsType* FindSafetensorsType(absl::string_view name);

struct SafetensorsTensor {
  std::string name;
  const SafetensorsType* type = nullptr;  // Not null.
  std::vector<int64_t> shape;             // Empty: a scalar.
  // Where its data lies, in bytes from the end of the header on.
  int64_t begin = 0;
  int64_t end = 0;

  // The product of the shape.
  int64_t elements() const;
};

struct SafetensorsHeader {
  std::vector<SafetensorsTensor> tensors;  // In the order of their data.
  std::map<std::string, std::string> metadata;
};

// What a file says that is no such file, or not the one that was expected: INVALID_ARGUMENT with
// the reason FILE_INVALID.
absl::Status FileInvalid(absl::string_view path, absl::string_view what);

// Reads the JSON of a header, after which `data_bytes` follow. FILE_INVALID says what is wrong in
// `path`, and in which tensor: no JSON in UTF-8; a name or a field that is there twice; a field
// that is missing, not known or no number; an unknown type; data that overlaps, has gaps, or is not
// as long as the type and shape say; and data that no tensor has. Takes memory in proportion to
// `json`, about four times as much at most.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& path,
                                                         absl::string_view json,
                                                         int64_t data_bytes);

// The other way round: the beginning of a file of these tensors, in their order, whose `begin` and
// `end` it sets. Its length is a multiple of 64 bytes, so that where the data is mapped into memory
// it is aligned. INVALID_ARGUMENT if a name is there twice or no UTF-8, or the format has no room
// for so many.
absl::StatusOr<std::string> FormatSafetensorsHeader(SafetensorsHeader* header);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_SAFETENSORS_HEADER_H_
