#include "worker/data/idx.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "worker/data/input_file.h"

namespace gradd {
namespace {

constexpr uint32_t kUnsignedBytes = 0x08;

uint32_t BigEndian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

absl::StatusOr<IdxArray> ReadIdx(const std::string& path, int dimensions, int64_t max_bytes) {
  absl::StatusOr<InputFile> file = InputFile::Open(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::vector<uint8_t>> magic = file->ReadExactly(4, "the IDX magic number");
  if (!magic.ok()) return magic.status();
  const uint32_t expected = kUnsignedBytes << 8 | static_cast<uint32_t>(dimensions);
  if (BigEndian(magic->data()) != expected) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s: magic number 0x%08x found, 0x%08x (IDX, unsigned bytes, %d dimension%s) expected",
        path, BigEndian(magic->data()), expected, dimensions, dimensions == 1 ? "" : "s"));
  }
  absl::StatusOr<std::vector<uint8_t>> header =
      file->ReadExactly(4 * int64_t{dimensions}, "the IDX dimensions");
  if (!header.ok()) return header.status();
  IdxArray array;
  for (int i = 0; i < dimensions; ++i)
    array.shape.push_back(BigEndian(header->data() + ptrdiff_t{4} * i));
  int64_t size = 1;
  for (const int64_t dimension : array.shape) {
    // The product stays below 2^63: what exceeds max_bytes is not multiplied further.
    if (dimension == 0 || dimension > max_bytes / size) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": dimensions ", absl::StrJoin(array.shape, " x "),
                       " found, between 1 and ", max_bytes, " bytes expected"));
    }
    size *= dimension;
  }
  absl::StatusOr<std::vector<uint8_t>> bytes = file->ReadExactly(
      size, absl::StrCat("the data of ", absl::StrJoin(array.shape, " x "), " bytes"));
  if (!bytes.ok()) return bytes.status();
  array.bytes = *std::move(bytes);
  uint8_t extra = 0;
  const absl::StatusOr<size_t> rest = file->Read(1, &extra);
  if (!rest.ok()) return rest.status();
  if (*rest != 0) {
    return absl::DataLossError(absl::StrCat(path, ": the file goes on after the ", size,
                                            " bytes of ", absl::StrJoin(array.shape, " x ")));
  }
  return array;
}

absl::StatusOr<Dataset> ReadIdxImages(const std::string& images_path,
                                      const std::string& labels_path, int64_t classes) {
  absl::StatusOr<IdxArray> images = ReadIdx(images_path, 3);
  if (!images.ok()) return images.status();
  absl::StatusOr<IdxArray> labels = ReadIdx(labels_path, 1);
  if (!labels.ok()) return labels.status();
  if (labels->shape[0] != images->shape[0]) {
    return absl::InvalidArgumentError(absl::StrCat(labels_path, ": ", labels->shape[0],
                                                   " labels found, ", images->shape[0],
                                                   " expected, one per image of ", images_path));
  }
  const auto greatest = std::max_element(labels->bytes.begin(), labels->bytes.end());
  if (classes == 0) classes = *greatest + 1;
  if (*greatest >= classes) {
    return absl::InvalidArgumentError(absl::StrCat(
        labels_path, ": label ", *greatest, " of example ", greatest - labels->bytes.begin(),
        " found, less than ", classes, " (the number of classes) expected"));
  }
  return Dataset::OfBytes(images->shape[1] * images->shape[2], std::move(images->bytes),
                          std::vector<int32_t>(labels->bytes.begin(), labels->bytes.end()),
                          classes);
}

}  // namespace gradd
