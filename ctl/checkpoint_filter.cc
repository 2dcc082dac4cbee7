#include "ctl/checkpoint_filter.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/codec/dense.h"

namespace gradd::ctl {
namespace {

constexpr size_t kLengthBytes = 8;
// What a checkpoint has beside parameters, see docs/format.md.
constexpr absl::string_view kOtherPrefixes[] = {"optimizer/", "window/"};
constexpr const char* kKeptMetadata[] = {"run", "run_uid", "timeline", "step", "time"};

bool IsParameter(absl::string_view name) {
  return std::none_of(std::begin(kOtherPrefixes), std::end(kOtherPrefixes),
                      [name](absl::string_view prefix) { return absl::StartsWith(name, prefix); });
}

}  // namespace

const SafetensorsType* ParameterWriter::type() const {
  switch (encoding_) {
    case v1::ENCODING_BFLOAT16:
      return FindSafetensorsType("BF16");
    case v1::ENCODING_FLOAT16:
      return FindSafetensorsType("F16");
    default:
      return FindSafetensorsType("F32");
  }
}

absl::Status ParameterWriter::WriteHeader(std::vector<SafetensorsTensor> tensors,
                                          std::map<std::string, std::string> metadata) {
  gradd::SafetensorsHeader header;
  header.tensors = std::move(tensors);
  header.metadata = std::move(metadata);
  for (SafetensorsTensor& tensor : header.tensors) tensor.type = type();
  const absl::StatusOr<std::string> text = FormatSafetensorsHeader(&header);
  GRADD_RETURN_IF_ERROR(text.status());
  rest_.clear();
  out_of_range_ = 0;
  return file_->Write(*text);
}

absl::Status ParameterWriter::Write(absl::string_view bytes) {
  if (encoding_ == v1::ENCODING_FLOAT32) return file_->Write(bytes);
  if (!rest_.empty()) {
    const size_t missing = std::min(sizeof(float) - rest_.size(), bytes.size());
    absl::StrAppend(&rest_, bytes.substr(0, missing));
    bytes.remove_prefix(missing);
    if (rest_.size() < sizeof(float)) return absl::OkStatus();
    GRADD_RETURN_IF_ERROR(WriteFloats(rest_));
    rest_.clear();
  }
  const size_t whole = bytes.size() - bytes.size() % sizeof(float);
  rest_ = std::string(bytes.substr(whole));
  return WriteFloats(bytes.substr(0, whole));
}

absl::Status ParameterWriter::WriteFloats(absl::string_view bytes) {
  floats_.resize(bytes.size() / sizeof(float));
  if (floats_.empty()) return absl::OkStatus();
  std::memcpy(floats_.data(), bytes.data(), bytes.size());
  encoded_.resize(floats_.size() * static_cast<size_t>(DenseElementBytes(encoding_)));
  out_of_range_ +=
      EncodeDense(encoding_, floats_.data(), static_cast<int64_t>(floats_.size()), encoded_.data());
  return file_->Write(
      absl::string_view(reinterpret_cast<const char*>(encoded_.data()), encoded_.size()));
}

absl::Status CheckpointFilter::ReadHeader(absl::string_view* bytes) {
  const auto take = [&](size_t until) {
    const size_t missing = std::min(until - beginning_.size(), bytes->size());
    absl::StrAppend(&beginning_, bytes->substr(0, missing));
    bytes->remove_prefix(missing);
    return beginning_.size() == until;
  };
  if (beginning_.size() < kLengthBytes && !take(kLengthBytes)) return absl::OkStatus();
  uint64_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= uint64_t{static_cast<unsigned char>(beginning_[i])} << (8 * i);
  }
  if (length > static_cast<uint64_t>(kMaxSafetensorsHeaderBytes)) {
    return FileInvalid(name_, absl::StrCat("a header of ", length, " bytes, at most ",
                                           kMaxSafetensorsHeaderBytes, " expected"));
  }
  return take(kLengthBytes + length) ? ParseHeader() : absl::OkStatus();
}

absl::Status CheckpointFilter::ParseHeader() {
  const auto data_bytes = bytes_ - static_cast<int64_t>(beginning_.size());
  auto header =
      ParseSafetensorsHeader(name_, absl::string_view(beginning_).substr(kLengthBytes), data_bytes);
  GRADD_RETURN_IF_ERROR(header.status());
  parsed_ = true;
  beginning_.clear();
  tensors_ = header->tensors;
  std::vector<SafetensorsTensor> kept;
  for (const SafetensorsTensor& tensor : tensors_) {
    if (!IsParameter(tensor.name)) continue;
    if (absl::string_view(tensor.type->name) != "F32") {
      return FileInvalid(name_, absl::StrCat("tensor ", Quoted(tensor.name), " is of ",
                                             tensor.type->name, ", F32 expected"));
    }
    kept.push_back(tensor);
  }
  std::map<std::string, std::string> metadata;
  for (const char* const key : kKeptMetadata) {
    const auto found = header->metadata.find(key);
    if (found != header->metadata.end()) metadata.insert(*found);
  }
  return writer_.WriteHeader(std::move(kept), std::move(metadata));
}

absl::Status CheckpointFilter::Write(absl::string_view bytes) {
  if (!parsed_) GRADD_RETURN_IF_ERROR(ReadHeader(&bytes));
  while (!bytes.empty() && next_ < tensors_.size()) {
    const SafetensorsTensor& tensor = tensors_[next_];
    const auto part =
        static_cast<size_t>(std::min(tensor.end - at_, static_cast<int64_t>(bytes.size())));
    if (IsParameter(tensor.name)) GRADD_RETURN_IF_ERROR(writer_.Write(bytes.substr(0, part)));
    bytes.remove_prefix(part);
    at_ += static_cast<int64_t>(part);
    if (at_ == tensor.end) ++next_;
  }
  return absl::OkStatus();
}

}  // namespace gradd::ctl
