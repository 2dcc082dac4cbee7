#include "core/sync/staged_chunk.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/codec/dense.h"
#include "core/codec/float16.h"
#include "core/codec/int8.h"

namespace gradd {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

// All bytes in one piece, aligned as only floats need it.
Payload InOnePiece(const Payload& data) {
  auto floats = std::make_shared<std::vector<float>>((data.size_bytes() + 3) / sizeof(float));
  auto* const bytes = reinterpret_cast<std::byte*>(floats->data());
  size_t at = 0;
  for (const Payload::Slice& slice : data.slices()) {
    std::copy(slice.begin(), slice.end(), bytes + at);
    at += slice.size();
  }
  return Payload({Payload::Slice(bytes, at)}, std::move(floats));
}

// A peer may send its data in frames of a few bytes each; the references to these would take
// more memory than the data.
bool TinySlices(const Payload& data) {
  constexpr size_t kMinMeanSliceBytes = 1024;
  constexpr size_t kAlwaysFine = 8;
  return data.slices().size() > kAlwaysFine + data.size_bytes() / kMinMeanSliceBytes;
}

// How many elements `bytes` of data are, and how long it should have been if that is none.
struct Length {
  int64_t elements = 0;  // 0: the length does not fit the encoding.
  std::string expected;
};

Length LengthOf(v1::Encoding encoding, int64_t bytes, int64_t element_count, int64_t row_elements) {
  switch (encoding) {
    case v1::ENCODING_INT8: {
      constexpr int64_t kGroupBytes = kInt8GroupElements + kInt8ScaleBytes;
      const int64_t groups = (bytes + kGroupBytes - 1) / kGroupBytes;
      const int64_t elements = bytes - groups * kInt8ScaleBytes;
      const bool fits = elements > 0 && Int8Bytes(elements) == bytes;
      return {fits ? elements : 0, "groups of 4 + 1 to 2048 bytes, all but the last of 2052"};
    }
    case v1::ENCODING_SPARSE: {
      const bool fits = bytes % kSparsePairBytes == 0 && element_count <= kMaxSparseElements &&
                        bytes / kSparsePairBytes <= element_count;
      return {fits ? element_count : 0,
              "8 for each of at most element_count elements, which are 1 to 2^32"};
    }
    case v1::ENCODING_ROWS: {
      const int64_t rows = element_count / row_elements;
      const int64_t row_bytes = RowBytes(row_elements);
      const bool fits = bytes % row_bytes == 0 && rows <= kMaxRows && bytes / row_bytes <= rows &&
                        bytes <= MaxRowsChunkBytes(element_count);
      return {fits ? element_count : 0,
              absl::StrCat(row_bytes, " for each of at most ", rows,
                           " rows, and no more than 6 for each element or ", kFewRowsBytes)};
    }
    default: {
      const int64_t unit = DenseElementBytes(encoding);
      return {bytes % unit == 0 ? bytes / unit : 0,
              unit == kFloatBytes ? "a positive multiple of 4" : "a positive multiple of 2"};
    }
  }
}

bool Supported(v1::Encoding encoding) {
  return DenseElementBytes(encoding) > 0 || encoding == v1::ENCODING_INT8 ||
         encoding == v1::ENCODING_SPARSE || encoding == v1::ENCODING_ROWS;
}

// Elements of the rows that the chunk covers, if it covers whole rows of one tensor.
absl::StatusOr<int64_t> RowElements(const v1::ParameterChunk& chunk, const Layout& layout) {
  const int64_t offset = chunk.offset();
  const int64_t size = chunk.element_count();
  if (offset < 0 || offset >= layout.element_count()) {
    return InvalidArgument("CHUNK_OUT_OF_RANGE",
                           absl::StrCat("chunk offset ", offset, " is outside the layout's ",
                                        layout.element_count(), " elements"));
  }
  const Layout::Place tensor = layout.TensorAt(offset);
  if (size < 1 || size > tensor.end - offset || size % tensor.row_elements != 0 ||
      (offset - tensor.begin) % tensor.row_elements != 0) {
    return InvalidArgument(
        "CHUNK_MISALIGNED",
        absl::StrCat("chunk of ROWS at offset ", offset, " with an element_count of ", size,
                     ", expected whole rows of ", tensor.row_elements,
                     " elements of the tensor of elements ", tensor.begin, " to ", tensor.end - 1));
  }
  return tensor.row_elements;
}

float ReadScale(PayloadReader* bytes) {
  std::byte scratch[kInt8ScaleBytes];
  float scale = 0;
  std::memcpy(&scale, bytes->Next(sizeof(scale), sizeof(scale), scratch).data(), sizeof(scale));
  return scale;
}

absl::Status NonFiniteError(int64_t element, float value) {
  return InvalidArgument(
      "NON_FINITE", absl::StrCat("element ", element, " is ", value, ", expected a finite number"));
}

// OK if the numbers, each a `what`, ascend and are less than `limit`. The chunk begins at `offset`.
absl::Status CheckAscending(const std::string& what, absl::Span<const uint32_t> numbers,
                            int64_t limit, int64_t offset) {
  const auto reason = [&what](absl::string_view suffix) {
    return absl::StrCat(absl::AsciiStrToUpper(what), suffix);
  };
  int64_t previous = -1;
  for (const uint32_t number : numbers) {
    if (number >= limit) {
      return InvalidArgument(reason("_OUT_OF_RANGE"),
                             absl::StrCat("chunk at offset ", offset, " has ", what, " ", number,
                                          ", expected less than ", limit));
    }
    if (number <= previous) {
      return InvalidArgument(reason(number == previous ? "_REPEATED" : "_NOT_ASCENDING"),
                             absl::StrCat("chunk at offset ", offset, " has ", what, " ", number,
                                          " after ", previous, ", expected ascending ones"));
    }
    previous = number;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<StagedChunk> StagedChunk::Create(const v1::ParameterChunk& chunk, Payload data,
                                                const Layout& layout) {
  const int64_t offset = chunk.offset();
  const v1::Encoding encoding = EncodingOf(chunk.encoding());
  if (!Supported(encoding)) {
    return InvalidArgument(
        "ENCODING_UNSUPPORTED",
        absl::StrCat("chunk at offset ", offset, " has encoding ", v1::Encoding_Name(encoding),
                     " (", static_cast<int>(encoding),
                     "), expected FLOAT32, BFLOAT16, FLOAT16, INT8, SPARSE or ROWS"));
  }
  const auto bytes = static_cast<int64_t>(data.size_bytes());
  if (bytes > kMaxChunkBytes) {
    return InvalidArgument(
        "CHUNK_SIZE", absl::StrCat("chunk at offset ", offset, " has ", bytes, " bytes, at most ",
                                   kMaxChunkBytes, " expected"));
  }
  int64_t row_elements = 0;
  if (encoding == v1::ENCODING_ROWS) {
    const absl::StatusOr<int64_t> row = RowElements(chunk, layout);
    GRADD_RETURN_IF_ERROR(row.status());
    row_elements = *row;
  }
  const Length length = LengthOf(encoding, bytes, chunk.element_count(), row_elements);
  const int64_t size = length.elements;
  if (size < 1) {
    return InvalidArgument("CHUNK_SIZE", absl::StrCat("chunk at offset ", offset, " has ", bytes,
                                                      " bytes, expected ", length.expected));
  }
  if (chunk.element_count() != 0 && chunk.element_count() != size) {
    return InvalidArgument(
        "CHUNK_SIZE", absl::StrCat("chunk at offset ", offset, " has ", size,
                                   " elements, and an element_count of ", chunk.element_count()));
  }
  if (offset < 0) {
    return InvalidArgument("CHUNK_OUT_OF_RANGE",
                           absl::StrCat("chunk offset ", offset, ", at least 0 expected"));
  }
  if (offset > layout.element_count() - size) {
    return InvalidArgument("CHUNK_OUT_OF_RANGE",
                           absl::StrCat("chunk offset ", offset, " + ", size,
                                        " elements exceeds the layout's ", layout.element_count()));
  }
  if (encoding == v1::ENCODING_INT8 &&
      (offset % kInt8GroupElements != 0 ||
       (size % kInt8GroupElements != 0 && offset + size != layout.element_count()))) {
    return InvalidArgument(
        "CHUNK_MISALIGNED",
        absl::StrCat("chunk of INT8 elements ", offset, " to ", offset + size - 1,
                     ", expected to begin at a multiple of ", kInt8GroupElements,
                     " and to end at one or at the layout's end"));
  }
  if (encoding == v1::ENCODING_SPARSE || encoding == v1::ENCODING_ROWS || TinySlices(data)) {
    data = InOnePiece(data);
  }
  return StagedChunk(encoding, offset, size, row_elements, std::move(data));
}

size_t StagedChunk::FirstByte(int64_t at) const {
  const int64_t byte =
      encoding_ == v1::ENCODING_INT8 ? Int8Bytes(at) : at * DenseElementBytes(encoding_);
  return static_cast<size_t>(byte);
}

absl::Status StagedChunk::NonFinite(int64_t begin, int64_t end) const {
  Reader reader(*this, begin);
  float value = 0;
  for (int64_t at = begin; at < end; ++at) {
    reader.Next(1, &value);
    if (!std::isfinite(value)) return NonFiniteError(begin_ + at, value);
  }
  return absl::InternalError("all elements are finite");
}

absl::Status StagedChunk::CheckDense() {
  const auto unit = static_cast<size_t>(DenseElementBytes(encoding_));
  PayloadReader reader(data_);
  for (size_t left = data_.size_bytes(); left > 0;) {
    std::byte scratch[kFloatBytes];
    const Payload::Slice run = reader.Next(left, unit, scratch);
    const float largest =
        LargestMagnitude(encoding_, run.data(), static_cast<int64_t>(run.size() / unit));
    if (!std::isfinite(largest)) return NonFinite(0, elements_);
    largest_ = std::max(largest_, largest);
    if (encoding_ == v1::ENCODING_FLOAT16 && largest == kLargestFloat16) {
      saturated_ += CountLargestFloat16(run.data(), static_cast<int64_t>(run.size() / unit));
    }
    left -= run.size();
  }
  return absl::OkStatus();
}

absl::Status StagedChunk::CheckInt8() {
  for (int64_t at = 0; at < elements_; at += kInt8GroupElements) {
    PayloadReader reader(data_, FirstByte(at));
    const float scale = ReadScale(&reader);
    if (!std::isfinite(scale) || scale < 0) {
      return InvalidArgument(
          std::isfinite(scale) ? "SCALE_INVALID" : "NON_FINITE",
          absl::StrCat("the scale of the group at element ", begin_ + at, " is ", scale,
                       ", expected a finite number that is not negative"));
    }
    constexpr float kLargestByte = 128;
    if (std::isfinite(kLargestByte * scale)) {
      largest_ = std::max(largest_, kLargestByte * scale);
      continue;
    }
    const int64_t end = std::min(at + kInt8GroupElements, elements_);
    Reader values(*this, at);
    float group[kInt8GroupElements];
    values.Next(end - at, group);
    const float largest = LargestMagnitude(group, end - at);
    if (!std::isfinite(largest)) return NonFinite(at, end);
    largest_ = std::max(largest_, largest);
  }
  return absl::OkStatus();
}

StagedChunk StagedChunk::WithValues(int64_t begin, int64_t elements, Payload data,
                                    float largest) const {
  StagedChunk other =
      has_rows() ? StagedChunk(encoding_, begin_, elements_, row_elements_, std::move(data))
                 : StagedChunk(v1::ENCODING_FLOAT32, begin_ + begin, elements,
                               /*row_elements=*/0, std::move(data));
  other.KnowValues(largest);
  return other;
}

absl::Status StagedChunk::CheckValues() {
  switch (encoding_) {
    case v1::ENCODING_SPARSE:
      return CheckSparse();
    case v1::ENCODING_ROWS:
      return CheckRows();
    case v1::ENCODING_INT8:
      return CheckInt8();
    default:
      return CheckDense();
  }
}

absl::Status StagedChunk::CheckRows() {
  const RowsView view = rows();
  GRADD_RETURN_IF_ERROR(CheckAscending("row", view.rows, elements_ / row_elements_, begin_));
  for (size_t i = 0; i < view.rows.size(); ++i) {
    const float* const values = view.values_of(i);
    const float largest = LargestMagnitude(values, row_elements_);
    if (std::isfinite(largest)) {
      largest_ = std::max(largest_, largest);
      continue;
    }
    int64_t bad = 0;
    while (std::isfinite(values[bad])) ++bad;
    return NonFiniteError(begin_ + view.begin(i) + bad, values[bad]);
  }
  return absl::OkStatus();
}

absl::Status StagedChunk::CheckSparse() {
  GRADD_RETURN_IF_ERROR(CheckAscending("index", sparse().indices, elements_, begin_));
  const SparseView view = sparse();
  const auto pairs = static_cast<int64_t>(view.values.size());
  largest_ = LargestMagnitude(view.values.data(), pairs);
  if (!std::isfinite(largest_)) {
    size_t bad = 0;
    while (std::isfinite(view.values[bad])) ++bad;
    return NonFiniteError(begin_ + view.indices[bad], view.values[bad]);
  }
  if (pairs * kSparsePairBytes > elements_ * kFloatBytes) {
    auto values = std::make_shared<std::vector<float>>(static_cast<size_t>(elements_));
    DecodeSparse(view, 0, 0, elements_, values->data());
    const Payload::Slice bytes(reinterpret_cast<const std::byte*>(values->data()),
                               values->size() * sizeof(float));
    data_ = Payload({bytes}, std::move(values));
    encoding_ = v1::ENCODING_FLOAT32;
  }
  return absl::OkStatus();
}

StagedChunk::Reader::Reader(const StagedChunk& chunk, int64_t at)
    : chunk_(&chunk), at_(at), bytes_(chunk.data_, chunk.FirstByte(at)) {
  const int64_t in_group = at % kInt8GroupElements;
  if (chunk.encoding_ == v1::ENCODING_INT8 && in_group != 0) {
    PayloadReader group(chunk.data_, chunk.FirstByte(at - in_group));
    scale_ = ReadScale(&group);
  }
  if (chunk.encoding_ == v1::ENCODING_SPARSE) {
    const auto indices = chunk.sparse().indices;
    next_ =
        static_cast<size_t>(std::lower_bound(indices.begin(), indices.end(), at) - indices.begin());
  }
  if (chunk.has_rows()) next_ = chunk.rows().RowAt(at);
}

const UnalignedFloat* StagedChunk::Reader::NextInPlace(int64_t size) {
  if (chunk_->encoding_ != v1::ENCODING_FLOAT32) return nullptr;
  const std::byte* const here = bytes_.NextInPlace(static_cast<size_t>(size * kFloatBytes));
  if (here != nullptr) at_ += size;
  return reinterpret_cast<const UnalignedFloat*>(here);
}

void StagedChunk::Reader::Next(int64_t size, float* out) {
  switch (chunk_->encoding_) {
    case v1::ENCODING_SPARSE:
      next_ = DecodeSparse(chunk_->sparse(), next_, at_, size, out);
      at_ += size;
      break;
    case v1::ENCODING_ROWS:
      next_ = DecodeRows(chunk_->rows(), next_, at_, size, out);
      at_ += size;
      break;
    case v1::ENCODING_INT8:
      NextInt8(size, out);
      break;
    default:
      NextDense(size, out);
      break;
  }
}

void StagedChunk::Reader::NextDense(int64_t size, float* out) {
  const auto unit = static_cast<size_t>(DenseElementBytes(chunk_->encoding_));
  for (int64_t done = 0; done < size;) {
    std::byte scratch[kFloatBytes];
    const Payload::Slice run = bytes_.Next(static_cast<size_t>(size - done) * unit, unit, scratch);
    const auto count = static_cast<int64_t>(run.size() / unit);
    DecodeDense(chunk_->encoding_, run.data(), count, out + done);
    done += count;
  }
  at_ += size;
}

void StagedChunk::Reader::NextInt8(int64_t size, float* out) {
  for (const int64_t end = at_ + size; at_ < end;) {
    const int64_t in_group = at_ % kInt8GroupElements;
    if (in_group == 0) scale_ = ReadScale(&bytes_);
    const int64_t most = std::min(end - at_, kInt8GroupElements - in_group);
    std::byte scratch[1];
    const Payload::Slice run = bytes_.Next(static_cast<size_t>(most), 1, scratch);
    const auto count = static_cast<int64_t>(run.size());
    DecodeInt8(run.data(), count, scale_, out);
    out += count;
    at_ += count;
  }
}

}  // namespace gradd
