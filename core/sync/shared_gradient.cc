#include "core/sync/shared_gradient.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/norms.h"
#include "core/base/prefetch.h"
#include "core/store/block_payload.h"

namespace gradd {
namespace {

// Blocks of few sizes, so that the pool's serve runs of any length.
int64_t StagingElements(int64_t elements) {
  int64_t rounded = 16;
  while (rounded < elements) rounded *= 2;
  return rounded;
}

// Copies `size` elements and returns the sum of their squares, which is not finite if one of the
// copies is not.
double CopyAndSum(const std::byte* from, int64_t size, float* to) {
  double sum = 0;
  for (int64_t begin = 0; begin < size; begin += kNormRun) {
    const int64_t count = std::min(kNormRun, size - begin);
    if (begin % kPageElements == kPageElements - kNormRun) {
      PrefetchPage(reinterpret_cast<const UnalignedFloat*>(from) + begin + kNormRun);
      PrefetchPage(to + begin + kNormRun);
    }
    std::memcpy(to + begin, from + static_cast<size_t>(begin) * sizeof(float),
                static_cast<size_t>(count) * sizeof(float));
    sum += SquaredNorm(to + begin, count);
  }
  return sum;
}

struct Copy {
  BlockRef block;
  int64_t size = 0;
  double squared_norm = 0;
};

}  // namespace

absl::Status StageSharedGradient(const SharedRegion& region, BlockPool* blocks, ThreadPool* threads,
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
    copy.squared_norm = CopyAndSum(region.data() + begin, copy.size, copy.block.data());
  });
  int64_t offset = 0;
  for (Copy& copy : copies) {
    Payload bytes = BytesOf(std::move(copy.block), static_cast<size_t>(copy.size) * sizeof(float));
    GRADD_RETURN_IF_ERROR(push->AddChecked(offset, std::move(bytes), copy.squared_norm));
    offset += copy.size;
  }
  return absl::OkStatus();
}

}  // namespace gradd
