#include "core/sync/staged_push.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/store/slot.h"

namespace gradd {
int64_t MaxChunks(const Layout& layout) {
  constexpr int64_t kAlwaysFine = 64;
  constexpr int64_t kMinMeanElements = int64_t{16} * 1024;
  constexpr int kMostTensors = 1000;  // Each of which may come by rows, in a chunk of its own.
  return kAlwaysFine + std::min(kMostTensors, layout.message().tensors_size()) +
         layout.element_count() / kMinMeanElements;
}

absl::Status StagedPush::Add(const v1::ParameterChunk& chunk, Payload data) {
  absl::StatusOr<StagedChunk> staged = StagedChunk::Create(chunk, std::move(data), layout_);
  GRADD_RETURN_IF_ERROR(staged.status());
  GRADD_RETURN_IF_ERROR(CheckPlace(*staged));
  GRADD_RETURN_IF_ERROR(staged->CheckValues());
  Keep(*std::move(staged));
  return absl::OkStatus();
}

absl::Status StagedPush::AddChecked(int64_t offset, Payload data, float largest) {
  v1::ParameterChunk chunk;
  chunk.set_offset(offset);
  if (!std::isfinite(largest)) return Add(chunk, std::move(data));  // It names the element.
  absl::StatusOr<StagedChunk> staged = StagedChunk::Create(chunk, std::move(data), layout_);
  GRADD_RETURN_IF_ERROR(staged.status());
  GRADD_RETURN_IF_ERROR(CheckPlace(*staged));
  staged->KnowValues(largest);
  Keep(*std::move(staged));
  return absl::OkStatus();
}

absl::Status StagedPush::CheckPlace(const StagedChunk& chunk) const {
  const auto next = chunks_.lower_bound(chunk.begin());
  const bool hits_next = next != chunks_.end() && next->first < chunk.end();
  const bool hits_previous =
      next != chunks_.begin() && std::prev(next)->second.end() > chunk.begin();
  if (hits_next || hits_previous) {
    const StagedChunk& other = (hits_next ? next : std::prev(next))->second;
    return InvalidArgument(
        "CHUNK_OVERLAP", absl::StrCat("chunk of elements ", chunk.begin(), " to ", chunk.end() - 1,
                                      " overlaps an earlier one of elements ", other.begin(),
                                      " to ", other.end() - 1));
  }
  if (static_cast<int64_t>(chunks_.size()) >= MaxChunks(layout_)) {
    return InvalidArgument("TOO_MANY_CHUNKS",
                           absl::StrCat("more than ", MaxChunks(layout_), " chunks for ",
                                        elements(), " elements; send larger ones"));
  }
  return absl::OkStatus();
}

void StagedPush::Keep(StagedChunk chunk) {
  staged_elements_ += chunk.elements();
  // Whether the push is complete is read from their number.
  GRADD_DCHECK(staged_elements_ <= elements(),
               absl::StrCat(staged_elements_, " of ", elements(), " elements"));
  has_rows_ = has_rows_ || chunk.has_rows();
  largest_ = std::max(largest_, chunk.largest());
  saturated_ += chunk.saturated();
  const int64_t begin = chunk.begin();
  chunks_.emplace(begin, std::move(chunk));
}

absl::Status StagedPush::CheckComplete() const {
  if (staged_elements_ == elements()) return absl::OkStatus();
  int64_t covered = 0;
  for (const auto& [offset, chunk] : chunks_) {
    if (offset != covered) break;
    covered = chunk.end();
  }
  return InvalidArgument("CHUNK_MISSING",
                         absl::StrCat("committed with ", staged_elements_, " of ", elements(),
                                      " elements; the first missing one is ", covered));
}

StagedPush::Reader::Reader(const StagedPush& push, int64_t begin)
    : chunk_(std::prev(push.chunks_.upper_bound(begin))),
      reader_(chunk_->second, begin - chunk_->first) {}

const UnalignedFloat* StagedPush::Reader::Next(int64_t size, float* scratch) {
  for (int64_t done = 0; done < size;) {
    if (reader_.left() == 0) reader_ = StagedChunk::Reader((++chunk_)->second, 0);
    const int64_t take = std::min(size - done, reader_.left());
    if (take == size) {
      if (const UnalignedFloat* const here = reader_.NextInPlace(size); here != nullptr)
        return here;
    }
    reader_.Next(take, scratch + done);
    done += take;
  }
  return scratch;
}

bool StagedPush::HasLazyRows(const Lazy& lazy) const {
  return has_rows_ && std::any_of(chunks_.begin(), chunks_.end(), [&](const auto& entry) {
           return entry.second.has_rows() && lazy(entry.first);
         });
}

StagedPush::SpanReader::SpanReader(const StagedPush& push, const Lazy& lazy, int64_t begin)
    : push_(push),
      lazy_(lazy),
      chunk_(std::prev(push.chunks_.upper_bound(begin))),
      reader_(chunk_->second, begin - chunk_->first) {
  Enter(chunk_);
  Seek(begin);
}

void StagedPush::SpanReader::Enter(Chunk chunk) {
  chunk_ = chunk;
  by_rows_ = chunk->second.has_rows() && lazy_(chunk->first);
  row_ = 0;
  reader_at_ = kNone;
}

void StagedPush::SpanReader::Seek(int64_t at) {
  while (true) {
    const StagedChunk& chunk = chunk_->second;
    if (at < chunk.end()) {
      begin_ = std::max(at, chunk.begin());
      end_ = chunk.end();
      if (by_rows_) SeekRow(begin_);
      if (begin_ < end_) return;
    }
    if (std::next(chunk_) == push_.chunks_.end()) {
      begin_ = end_ = kNone;
      return;
    }
    Enter(std::next(chunk_));
  }
}

void StagedPush::SpanReader::SeekRow(int64_t at) {
  const RowsView rows = chunk_->second.rows();
  const int64_t in_chunk = at - chunk_->first;
  const size_t count = rows.rows.size();
  if (row_ < count && rows.end(row_) <= in_chunk) ++row_;
  if (row_ < count && rows.end(row_) <= in_chunk) row_ = rows.RowAt(in_chunk);
  if (row_ == count) {
    begin_ = end_;
    return;
  }
  begin_ = std::max(at, chunk_->first + rows.begin(row_));
  size_t last = row_;
  // Rows in a row, as many as a tile takes.
  while (last + 1 < count && rows.rows[last + 1] == rows.rows[last] + 1 &&
         chunk_->first + rows.end(last) - begin_ < kTileElements) {
    ++last;
  }
  end_ = chunk_->first + rows.end(last);
}

const UnalignedFloat* StagedPush::SpanReader::Read(int64_t from, int64_t size, float* scratch) {
  GRADD_DCHECK(
      begin_ <= from && from + size <= end_,
      absl::StrCat(size, " elements from ", from, " of a span from ", begin_, " to ", end_));
  const int64_t in_chunk = from - chunk_->first;
  if (by_rows_) {
    const RowsView rows = chunk_->second.rows();
    return rows.values_of(row_) + (in_chunk - rows.begin(row_));
  }
  if (reader_at_ != from) reader_ = StagedChunk::Reader(chunk_->second, in_chunk);
  reader_at_ = from + size;
  if (const UnalignedFloat* const here = reader_.NextInPlace(size); here != nullptr) return here;
  reader_.Next(size, scratch);
  return scratch;
}

}  // namespace gradd
