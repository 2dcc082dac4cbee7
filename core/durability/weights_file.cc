#include "core/durability/weights_file.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/codec/dense.h"
#include "core/durability/checkpoint_format.h"

namespace gradd {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers in files are little-endian");

// What is wrong with a file: as many as anyone wants to read.
class Mismatches {
 public:
  void Add(absl::string_view name, absl::string_view what) {
    constexpr size_t kMost = 10;
    if (listed_.size() < kMost) {
      listed_.push_back(absl::StrCat("tensor ", Quoted(name), " ", what));
    } else {
      ++more_;
    }
  }
  // Empty: there are none.
  std::string Text() const {
    std::string text = absl::StrJoin(listed_, "; ");
    if (more_ > 0) absl::StrAppend(&text, "; and ", more_, " more");
    return text;
  }

 private:
  std::vector<std::string> listed_;
  int64_t more_ = 0;
};

template <typename Shape>
std::string ShapeText(const Shape& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

std::string NotFloats(const SafetensorsTensor& tensor) {
  return absl::StrCat("is of ", tensor.type->name, ", F32, F16 or BF16 expected");
}

// As the format calls it; null: it has it not.
const SafetensorsType* FloatTypeOf(v1::Encoding encoding) {
  switch (encoding) {
    case v1::ENCODING_FLOAT32:
      return FindSafetensorsType("F32");
    case v1::ENCODING_BFLOAT16:
      return FindSafetensorsType("BF16");
    case v1::ENCODING_FLOAT16:
      return FindSafetensorsType("F16");
    default:
      return nullptr;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<WeightsFile>> WeightsFile::Open(FileSystem* files,
                                                               const std::string& path,
                                                               const Layout& layout) {
  auto opened = SafetensorsReader::Open(files, path);
  GRADD_RETURN_IF_ERROR(opened.status());
  return Of(*std::move(opened), layout);
}

absl::StatusOr<std::unique_ptr<WeightsFile>> WeightsFile::Of(
    std::shared_ptr<const SafetensorsReader> from, const Layout& layout) {
  std::unique_ptr<WeightsFile> file(new WeightsFile(std::move(from)));
  const SafetensorsReader& reader = *file->reader_;
  Mismatches mismatches;
  absl::flat_hash_set<absl::string_view> known;
  int64_t begin = 0;
  for (const v1::Tensor& tensor : layout.message().tensors()) {
    const SafetensorsTensor* const found = reader.Find(tensor.name());
    known.insert(tensor.name());
    if (found == nullptr) {
      mismatches.Add(tensor.name(), "is missing");
    } else if (!std::equal(found->shape.begin(), found->shape.end(), tensor.shape().begin(),
                           tensor.shape().end())) {
      mismatches.Add(tensor.name(), absl::StrCat("has shape ", ShapeText(found->shape), ", ",
                                                 ShapeText(tensor.shape()), " expected"));
    } else if (!SafetensorsReader::HasFloats(*found)) {
      mismatches.Add(tensor.name(), NotFloats(*found));
    }
    file->places_.push_back({begin, found});
    begin += ElementCount(tensor);
  }
  const bool is_checkpoint = IsCheckpoint(reader);
  for (const SafetensorsTensor& tensor : reader.tensors()) {
    if (known.count(tensor.name) > 0) continue;
    if (is_checkpoint && IsReservedTensorName(tensor.name)) continue;
    mismatches.Add(tensor.name, "is not in the run's layout");
  }
  if (const std::string text = mismatches.Text(); !text.empty()) {
    return FileInvalid(reader.path(), text);
  }
  return file;
}

bool IsCheckpoint(const SafetensorsReader& reader) {
  const auto format = reader.metadata().find("format");
  return format != reader.metadata().end() && format->second == kCheckpointFormat;
}

absl::StatusOr<v1::Layout> LayoutOfWeights(const SafetensorsReader& reader) {
  if (IsCheckpoint(reader)) {
    const auto info = ParseCheckpointInfo(reader.path(), reader.metadata(), reader.file().size());
    GRADD_RETURN_IF_ERROR(info.status());
    return ParseCheckpointLayout(reader.path(), reader.metadata());
  }
  v1::Layout layout;
  Mismatches mismatches;
  for (const SafetensorsTensor& from : reader.tensors()) {
    if (!SafetensorsReader::HasFloats(from)) {
      mismatches.Add(from.name, NotFloats(from));
      continue;
    }
    v1::Tensor& tensor = *layout.add_tensors();
    tensor.set_name(from.name);
    tensor.mutable_shape()->Add(from.shape.begin(), from.shape.end());
  }
  if (const std::string text = mismatches.Text(); !text.empty()) {
    return FileInvalid(reader.path(), text);
  }
  return layout;
}

absl::Status WeightsFile::Fill(int64_t begin, int64_t size, float* values) const {
  auto place = std::upper_bound(places_.begin(), places_.end(), begin,
                                [](int64_t at, const Place& each) { return at < each.begin; }) -
               1;
  for (; size > 0; ++place) {
    GRADD_DCHECK(place != places_.end(), absl::StrCat(size, " elements beyond the layout"));
    const int64_t first = begin - place->begin;
    const int64_t count = std::min(size, place->tensor->elements() - first);
    GRADD_RETURN_IF_ERROR(reader_->ReadFloats(*place->tensor, first, count, values));
    if (!AllFinite(values, count)) {
      const auto* const wrong = std::find_if_not(values, values + count,
                                                 [](float value) { return std::isfinite(value); });
      return FileInvalid(
          reader_->path(),
          absl::StrCat("tensor ", Quoted(place->tensor->name), ": element ",
                       first + (wrong - values), " is ", *wrong, ", a finite number expected"));
    }
    begin += count;
    values += count;
    size -= count;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WeightsWriter>> WeightsWriter::Begin(
    FileSystem* files, std::string path, std::shared_ptr<const Snapshot> snapshot,
    const Layout& layout, const Options& options) {
  GRADD_DCHECK(snapshot->encoding == v1::ENCODING_FLOAT32 && snapshot->progress == nullptr &&
                   snapshot->element_count == layout.element_count(),
               "a snapshot of something else");
  const SafetensorsType* const type = FloatTypeOf(options.encoding);
  if (type == nullptr) {
    return FileInvalid(path, absl::StrCat("encoding ", static_cast<int>(options.encoding),
                                          ", FLOAT32, BFLOAT16 or FLOAT16 expected"));
  }
  SafetensorsHeader header;
  header.metadata = options.metadata;
  for (const v1::Tensor& tensor : layout.message().tensors()) {
    header.tensors.push_back({tensor.name(), type, {tensor.shape().begin(), tensor.shape().end()}});
  }
  const absl::StatusOr<std::string> text = FormatSafetensorsHeader(&header);
  if (!text.ok()) return FileInvalid(path, text.status().message());
  std::unique_ptr<WeightsWriter> writer(new WeightsWriter);
  auto file = DurableFile::Create(files, std::move(path), options.sync_bytes);
  GRADD_RETURN_IF_ERROR(file.status());
  writer->encoding_ = options.encoding;
  writer->blocks_ = snapshot->parameters;
  snapshot.reset();  // So that the blocks are the writer's alone, if the caller does not hold it.
  writer->file_ = *std::move(file);
  GRADD_RETURN_IF_ERROR(writer->file_->Append({*text}));
  return writer;
}

absl::Status WeightsWriter::WriteBlock() {
  // Tensors lie in the file as in the flat vector, so that their borders do not matter.
  BlockRef& block = blocks_[next_];
  const char* data = reinterpret_cast<const char*>(block.data());
  const int64_t bytes = block.elements() * DenseElementBytes(encoding_);
  if (encoding_ != v1::ENCODING_FLOAT32) {
    encoded_.resize(static_cast<size_t>(bytes));
    out_of_range_ += EncodeDense(encoding_, block.data(), block.elements(), encoded_.data());
    data = reinterpret_cast<const char*>(encoded_.data());
  }
  GRADD_RETURN_IF_ERROR(file_->Append({absl::string_view(data, static_cast<size_t>(bytes))}));
  block = BlockRef();
  ++next_;
  return absl::OkStatus();
}

absl::StatusOr<bool> WeightsWriter::WriteSome(int64_t max_bytes) {
  if (done_) return true;
  const int64_t before = file_->size();
  while (status_.ok() && next_ < blocks_.size() && file_->size() - before < max_bytes) {
    status_ = WriteBlock();
  }
  if (status_.ok() && next_ == blocks_.size()) {
    status_ = file_->Commit();
    done_ = status_.ok();
  }
  if (!status_.ok()) blocks_.clear();
  GRADD_RETURN_IF_ERROR(status_);
  return done_;
}

}  // namespace gradd
