#include "core/sync/staged_push.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
int64_t MaxChunks(int64_t elements) {
  constexpr int64_t kAlwaysFine = 64;
  constexpr int64_t kMinMeanElements = int64_t{16} * 1024;
  return kAlwaysFine + elements / kMinMeanElements;
}

absl::Status StagedPush::Add(const v1::ParameterChunk& chunk, Payload data) {
  absl::StatusOr<StagedChunk> staged = StagedChunk::Create(chunk, std::move(data), elements_);
  GRADD_RETURN_IF_ERROR(staged.status());
  GRADD_RETURN_IF_ERROR(CheckPlace(*staged));
  GRADD_RETURN_IF_ERROR(staged->CheckValues());
  Keep(*std::move(staged));
  return absl::OkStatus();
}

absl::Status StagedPush::AddChecked(int64_t offset, Payload data, bool finite) {
  v1::ParameterChunk chunk;
  chunk.set_offset(offset);
  if (!finite) return Add(chunk, std::move(data));  // It names the element.
  absl::StatusOr<StagedChunk> staged = StagedChunk::Create(chunk, std::move(data), elements_);
  GRADD_RETURN_IF_ERROR(staged.status());
  GRADD_RETURN_IF_ERROR(CheckPlace(*staged));
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
  if (static_cast<int64_t>(chunks_.size()) >= MaxChunks(elements_)) {
    return InvalidArgument("TOO_MANY_CHUNKS",
                           absl::StrCat("more than ", MaxChunks(elements_), " chunks for ",
                                        elements_, " elements; send larger ones"));
  }
  return absl::OkStatus();
}

void StagedPush::Keep(StagedChunk chunk) {
  staged_elements_ += chunk.elements();
  const int64_t begin = chunk.begin();
  chunks_.emplace(begin, std::move(chunk));
}

absl::Status StagedPush::CheckComplete() const {
  if (staged_elements_ == elements_) return absl::OkStatus();
  int64_t covered = 0;
  for (const auto& [offset, chunk] : chunks_) {
    if (offset != covered) break;
    covered = chunk.end();
  }
  return InvalidArgument("CHUNK_MISSING",
                         absl::StrCat("committed with ", staged_elements_, " of ", elements_,
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

}  // namespace gradd
