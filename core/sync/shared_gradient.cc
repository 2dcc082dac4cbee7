#include "core/sync/shared_gradient.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/prefetch.h"
#include "core/codec/dense.h"
#include "core/store/block_payload.h"

namespace gradd {
namespace {

// Copies `size` elements and returns the largest magnitude of the copies.
float CopyAndMeasure(const std::byte* from, int64_t size, float* to) {
  float largest = 0;
  for (int64_t begin = 0; begin < size; begin += kPageElements) {
    const int64_t count = std::min(kPageElements, size - begin);
    Prefetch(reinterpret_cast<const UnalignedFloat*>(from) + begin + kPageElements);
    Prefetch(to + begin + kPageElements);
    std::memcpy(to + begin, from + static_cast<size_t>(begin) * sizeof(float),
                static_cast<size_t>(count) * sizeof(float));
    largest = LargerMagnitude(largest, LargestMagnitude(to + begin, count));
  }
  return largest;
}

struct Copy {
  BlockRef block;
  int64_t size = 0;
  float largest = 0;
};

}  // namespace

absl::Status StageSharedGradient(const SharedRegion& region, BlockPool* blocks, Executor* threads,
                                 StagedPush* push) {
  const int64_t elements = push->elements();
  if (push->staged_elements() > 0) {
    return Error(absl::StatusCode::kInvalidArgument, "CHUNK_OVERLAP",
                 absl::StrCat("gradient_is_shared beside ", push->staged_elements(),
                              " elements that are there already, none expected"));
  }
  std::vector<Copy> copies(static_cast<size_t>((elements + kBlockElements - 1) / kBlockElements));
  // Here and not on the threads, which must not throw.
  try {
    int64_t left = elements;
    for (Copy& copy : copies) {
      copy.size = std::min(kBlockElements, left);
      copy.block = blocks->Allocate(StagingElements(copy.size));
      left -= copy.size;
    }
  } catch (const std::bad_alloc&) {
    return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                 absl::StrCat("no memory to stage ", elements, " elements"));
  }
  threads->ParallelFor(static_cast<int64_t>(copies.size()), [&](int64_t index) {
    Copy& copy = copies[static_cast<size_t>(index)];
    const auto begin = static_cast<size_t>(index * kBlockElements) * sizeof(float);
    copy.largest = CopyAndMeasure(region.data() + begin, copy.size, copy.block.data());
  });
  int64_t offset = 0;
  for (Copy& copy : copies) {
    Payload bytes = BytesOf(std::move(copy.block), static_cast<size_t>(copy.size) * sizeof(float));
    GRADD_RETURN_IF_ERROR(push->AddChecked(offset, std::move(bytes), copy.largest));
    offset += copy.size;
  }
  return absl::OkStatus();
}

}  // namespace gradd
