#include "core/durability/safetensors_reader.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/codec/dense.h"

namespace gradd {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers in files are little-endian");

constexpr int64_t kLengthBytes = 8;

// ENCODING_UNSPECIFIED where float32 cannot hold it.
v1::Encoding EncodingOf(const SafetensorsType& type) {
  const absl::string_view name = type.name;
  if (name == "F32") return v1::ENCODING_FLOAT32;
  if (name == "F16") return v1::ENCODING_FLOAT16;
  if (name == "BF16") return v1::ENCODING_BFLOAT16;
  return v1::ENCODING_UNSPECIFIED;
}

}  // namespace

SafetensorsReader::SafetensorsReader(std::string path, std::unique_ptr<ReadableFile> file,
                                     SafetensorsHeader header, int64_t data_begin)
    : path_(std::move(path)),
      file_(std::move(file)),
      header_(std::move(header)),
      data_begin_(data_begin) {
  by_name_.reserve(header_.tensors.size());
  for (const SafetensorsTensor& tensor : header_.tensors) by_name_[tensor.name] = &tensor;
}

absl::StatusOr<std::unique_ptr<SafetensorsReader>> SafetensorsReader::Open(
    FileSystem* files, const std::string& path) {
  auto opened = files->OpenToRead(path);
  GRADD_RETURN_IF_ERROR(opened.status());
  return Read(path, *std::move(opened));
}

absl::StatusOr<std::unique_ptr<SafetensorsReader>> SafetensorsReader::Read(
    std::string path, std::unique_ptr<ReadableFile> file) {
  // With the first byte of the header, so that what is something else is not read as one.
  std::array<char, kLengthBytes + 1> first = {};
  if (file->size() <= kLengthBytes) {
    return FileInvalid(
        path, absl::StrCat("its ", file->size(), " bytes are fewer than a safetensors file has"));
  }
  GRADD_RETURN_IF_ERROR(file->Read(0, first.size(), first.data()));
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= uint64_t{static_cast<unsigned char>(first[i])} << (8 * i);
  }
  const int64_t rest = file->size() - kLengthBytes;
  if (length > uint64_t{kMaxSafetensorsHeaderBytes}) {
    return FileInvalid(path, absl::StrCat("a header of ", length, " bytes, at most ",
                                          kMaxSafetensorsHeaderBytes, " expected"));
  }
  const auto header_bytes = static_cast<int64_t>(length);
  if (header_bytes > rest) {
    return FileInvalid(path, absl::StrCat("a header of ", length, " bytes in a file of ",
                                          file->size(), ": it is cut off"));
  }
  if (header_bytes > 0 && first.back() != '{') {
    return FileInvalid(path, "the header does not begin with {");
  }
  std::string json(length, '\0');
  GRADD_RETURN_IF_ERROR(file->Read(kLengthBytes, header_bytes, json.data()));
  auto header = ParseSafetensorsHeader(path, json, rest - header_bytes);
  GRADD_RETURN_IF_ERROR(header.status());
  return std::unique_ptr<SafetensorsReader>(new SafetensorsReader(
      std::move(path), std::move(file), *std::move(header), kLengthBytes + header_bytes));
}

const SafetensorsTensor* SafetensorsReader::Find(absl::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

bool SafetensorsReader::HasFloats(const SafetensorsTensor& tensor) {
  return EncodingOf(*tensor.type) != v1::ENCODING_UNSPECIFIED;
}

absl::Status SafetensorsReader::ReadFloats(const SafetensorsTensor& tensor, int64_t first,
                                           int64_t count, float* to) const {
  const v1::Encoding encoding = EncodingOf(*tensor.type);
  if (encoding == v1::ENCODING_UNSPECIFIED) {
    return FileInvalid(path_, absl::StrCat("tensor ", Quoted(tensor.name), " is of ",
                                           tensor.type->name, ", F32, F16 or BF16 expected"));
  }
  GRADD_DCHECK(first >= 0 && count >= 0 && first + count <= tensor.elements(),
               absl::StrCat("elements ", first, " to ", first + count, " of ", tensor.elements()));
  const int64_t bytes = DenseElementBytes(encoding);
  int64_t offset = data_begin_ + tensor.begin + first * bytes;
  if (encoding == v1::ENCODING_FLOAT32) {
    return file_->Read(offset, count * bytes, reinterpret_cast<char*>(to));
  }
  std::array<std::byte, 32768> encoded;
  const int64_t most = static_cast<int64_t>(encoded.size()) / bytes;
  for (; count > 0;) {
    const int64_t piece = std::min(count, most);
    GRADD_RETURN_IF_ERROR(
        file_->Read(offset, piece * bytes, reinterpret_cast<char*>(encoded.data())));
    DecodeDense(encoding, encoded.data(), piece, to);
    offset += piece * bytes;
    to += piece;
    count -= piece;
  }
  return absl::OkStatus();
}

}  // namespace gradd
