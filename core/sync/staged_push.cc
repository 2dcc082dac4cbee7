#include "core/sync/staged_push.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/norms.h"

namespace gradd {
namespace {

absl::Status ChunkError(absl::string_view reason, absl::string_view message) {
  return Error(absl::StatusCode::kInvalidArgument, reason, message);
}

int64_t ChunkElements(const Payload& data) {
  return static_cast<int64_t>(data.size_bytes() / sizeof(float));
}

// A peer may send its data in frames of a few bytes each; the references to these would take
// more memory than the data. Such a chunk is copied into one piece.
Payload Compacted(Payload data) {
  constexpr size_t kMinMeanSliceBytes = 1024;
  constexpr size_t kAlwaysFine = 8;
  if (data.slices().size() <= kAlwaysFine + data.size_bytes() / kMinMeanSliceBytes) return data;
  auto bytes = std::make_shared<std::vector<std::byte>>();
  bytes->reserve(data.size_bytes());
  for (const Payload::Slice& slice : data.slices()) {
    bytes->insert(bytes->end(), slice.begin(), slice.end());
  }
  const Payload::Slice whole(bytes->data(), bytes->size());
  return Payload({whole}, std::move(bytes));
}

// Bytes gathered into aligned memory and cut at fixed places, whatever the slices are.
template <typename Visit>
void ForEachPiece(const Payload& data, const Visit& visit) {
  float piece[kNormRun];
  size_t filled = 0;
  int64_t begin = 0;
  for (const Payload::Slice& slice : data.slices()) {
    size_t used = 0;
    while (used < slice.size()) {
      const size_t take = std::min(sizeof(piece) - filled, slice.size() - used);
      std::memcpy(reinterpret_cast<std::byte*>(piece) + filled, slice.data() + used, take);
      filled += take;
      used += take;
      if (filled == sizeof(piece)) {
        visit(begin, piece, kNormRun);
        begin += kNormRun;
        filled = 0;
      }
    }
  }
  if (filled > 0) visit(begin, piece, static_cast<int64_t>(filled / sizeof(float)));
}

}  // namespace

int64_t MaxChunks(int64_t elements) {
  constexpr int64_t kAlwaysFine = 64;
  constexpr int64_t kMinMeanElements = int64_t{16} * 1024;
  return kAlwaysFine + elements / kMinMeanElements;
}

absl::Status StagedPush::Add(const v1::ParameterChunk& chunk, Payload data) {
  const int64_t offset = chunk.offset();
  if (chunk.encoding() != v1::ENCODING_UNSPECIFIED && chunk.encoding() != v1::ENCODING_FLOAT32) {
    return ChunkError(
        "ENCODING_UNSUPPORTED",
        absl::StrCat("chunk at offset ", offset, " has encoding ",
                     v1::Encoding_Name(chunk.encoding()), " (", static_cast<int>(chunk.encoding()),
                     "), expected ENCODING_FLOAT32"));
  }
  if (data.size_bytes() == 0 || data.size_bytes() % sizeof(float) != 0) {
    return ChunkError("CHUNK_SIZE",
                      absl::StrCat("chunk at offset ", offset, " has ", data.size_bytes(),
                                   " bytes, expected a positive multiple of 4"));
  }
  if (data.size_bytes() > static_cast<size_t>(kMaxChunkBytes)) {
    return ChunkError("CHUNK_SIZE",
                      absl::StrCat("chunk at offset ", offset, " has ", data.size_bytes(),
                                   " bytes, at most ", kMaxChunkBytes, " expected"));
  }
  GRADD_RETURN_IF_ERROR(CheckPlace(offset, ChunkElements(data)));
  data = Compacted(std::move(data));
  double squared_norm = 0;
  ForEachPiece(data, [&](int64_t /*begin*/, const float* values, int64_t count) {
    squared_norm += SquaredNorm(values, count);
  });
  return Keep(offset, std::move(data), squared_norm);
}

absl::Status StagedPush::AddChecked(int64_t offset, Payload data, double squared_norm) {
  GRADD_RETURN_IF_ERROR(CheckPlace(offset, ChunkElements(data)));
  return Keep(offset, std::move(data), squared_norm);
}

absl::Status StagedPush::CheckPlace(int64_t offset, int64_t size) const {
  if (offset < 0 || offset > elements_ - size) {
    return ChunkError("CHUNK_OUT_OF_RANGE",
                      absl::StrCat("chunk offset ", offset, " + ", size,
                                   " elements exceeds the layout's ", elements_));
  }
  const auto next = chunks_.lower_bound(offset);
  const bool hits_next = next != chunks_.end() && next->first < offset + size;
  bool hits_previous = false;
  if (next != chunks_.begin()) {
    const auto previous = std::prev(next);
    hits_previous = previous->first + ChunkElements(previous->second) > offset;
  }
  if (hits_next || hits_previous) {
    const auto other = hits_next ? next : std::prev(next);
    return ChunkError("CHUNK_OVERLAP",
                      absl::StrCat("chunk of elements ", offset, " to ", offset + size - 1,
                                   " overlaps an earlier one of elements ", other->first, " to ",
                                   other->first + ChunkElements(other->second) - 1));
  }
  if (static_cast<int64_t>(chunks_.size()) >= MaxChunks(elements_)) {
    return ChunkError("TOO_MANY_CHUNKS",
                      absl::StrCat("more than ", MaxChunks(elements_), " chunks for ", elements_,
                                   " elements; send larger ones"));
  }
  return absl::OkStatus();
}

absl::Status StagedPush::Keep(int64_t offset, Payload data, double squared_norm) {
  if (!std::isfinite(squared_norm)) {
    absl::Status error;
    ForEachPiece(data, [&](int64_t begin, const float* values, int64_t count) {
      const float* const end = values + count;
      const float* const bad =
          std::find_if(values, end, [](float value) { return !std::isfinite(value); });
      if (bad == end || !error.ok()) return;
      error = ChunkError("NON_FINITE", absl::StrCat("element ", offset + begin + (bad - values),
                                                    " is ", *bad, ", expected a finite number"));
    });
    return error;
  }
  squared_norm_ += squared_norm;
  staged_elements_ += ChunkElements(data);
  chunks_.emplace(offset, std::move(data));
  return absl::OkStatus();
}

absl::Status StagedPush::CheckComplete() const {
  if (staged_elements_ == elements_) return absl::OkStatus();
  int64_t covered = 0;
  for (const auto& [offset, data] : chunks_) {
    if (offset != covered) break;
    covered += ChunkElements(data);
  }
  return ChunkError("CHUNK_MISSING",
                    absl::StrCat("committed with ", staged_elements_, " of ", elements_,
                                 " elements; the first missing one is ", covered));
}

StagedPush::Reader::Reader(const StagedPush& push, int64_t begin)
    : chunk_(std::prev(push.chunks_.upper_bound(begin))), end_(push.chunks_.end()) {
  at_ = static_cast<size_t>(begin - chunk_->first) * sizeof(float);
  const auto& slices = chunk_->second.slices();
  while (at_ >= slices[slice_].size()) {
    at_ -= slices[slice_].size();
    ++slice_;
  }
}

void StagedPush::Reader::SkipEmptySlices() {
  while (chunk_ != end_ && at_ == chunk_->second.slices()[slice_].size()) {
    at_ = 0;
    if (++slice_ == chunk_->second.slices().size()) {
      slice_ = 0;
      ++chunk_;
    }
  }
}

const float* StagedPush::Reader::Next(int64_t size, float* scratch) {
  const size_t wanted = static_cast<size_t>(size) * sizeof(float);
  SkipEmptySlices();
  const Payload::Slice& here = chunk_->second.slices()[slice_];
  const std::byte* const start = here.data() + at_;
  if (here.size() - at_ >= wanted && reinterpret_cast<uintptr_t>(start) % alignof(float) == 0) {
    at_ += wanted;
    return reinterpret_cast<const float*>(start);
  }
  size_t gathered = 0;
  while (gathered < wanted) {
    SkipEmptySlices();
    const Payload::Slice& slice = chunk_->second.slices()[slice_];
    const size_t take = std::min(wanted - gathered, slice.size() - at_);
    std::memcpy(reinterpret_cast<std::byte*>(scratch) + gathered, slice.data() + at_, take);
    gathered += take;
    at_ += take;
  }
  return scratch;
}

}  // namespace gradd
