#ifndef GRADD_CORE_DURABILITY_SAFETENSORS_READER_H_
#define GRADD_CORE_DURABILITY_SAFETENSORS_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "core/durability/safetensors_header.h"

namespace gradd {

// Reads a safetensors file from anyone. Its header is in memory, its data is not.
//
// Example:
//   auto reader = SafetensorsReader::Open(FileSystem::Real(), "model.safetensors");
//   GRADD_RETURN_IF_ERROR(reader.status());
//   for (const SafetensorsTensor& tensor : (*reader)->tensors()) {
//     std::vector<float> values(tensor.elements());
//     GRADD_RETURN_IF_ERROR((*reader)->ReadFloats(tensor, 0, tensor.elements(), values.data()));
//   }
//
// Thread safe.
class SafetensorsReader {
 public:
  // Reads and checks the header, see ParseSafetensorsHeader(). FILE_INVALID also where the file is
  // shorter than it says: before memory is taken for it.
  static absl::StatusOr<std::unique_ptr<SafetensorsReader>> Open(FileSystem* files,
                                                                 const std::string& path);
  // The same of a file that is open already; `path` is what messages call it.
  static absl::StatusOr<std::unique_ptr<SafetensorsReader>> Read(
      std::string path, std::unique_ptr<ReadableFile> file);

  const std::string& path() const { return path_; }
  // In the order of their data.
  const std::vector<SafetensorsTensor>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  // Null if there is none of that name.
  const SafetensorsTensor* Find(absl::string_view name) const;

  const ReadableFile& file() const { return *file_; }
  // Where the data begins in the file, and the tensors' `begin` and `end` count from.
  int64_t data_begin() const { return data_begin_; }

  // Whether its elements can be read as float32: F32, F16 and BF16.
  static bool HasFloats(const SafetensorsTensor& tensor);
  // Elements [first, first + count) of a tensor of this file as float32, exactly. FILE_INVALID,
  // with its name and type, if HasFloats() is not so.
  absl::Status ReadFloats(const SafetensorsTensor& tensor, int64_t first, int64_t count,
                          float* to) const;

 private:
  SafetensorsReader(std::string path, std::unique_ptr<ReadableFile> file, SafetensorsHeader header,
                    int64_t data_begin);

  const std::string path_;
  const std::unique_ptr<ReadableFile> file_;
  const SafetensorsHeader header_;
  const int64_t data_begin_;
  absl::flat_hash_map<absl::string_view, const SafetensorsTensor*> by_name_;
};

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_SAFETENSORS_READER_H_
