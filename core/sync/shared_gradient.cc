#include "core/sync/shared_gradient.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/base/norms.h"
#include "core/base/prefetch.h"

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
  std::vector<Copy> copies(static_cast<size_t>((elements + kBlockElements - 1) / kBlockElements));
  threads->ParallelFor(static_cast<int64_t>(copies.size()), [&](int64_t index) {
    Copy& copy = copies[static_cast<size_t>(index)];
    const int64_t begin = index * kBlockElements;
    copy.size = std::min(kBlockElements, elements - begin);
    copy.block = blocks->Allocate(StagingElements(copy.size));
    copy.squared_norm = CopyAndSum(region.data() + static_cast<size_t>(begin) * sizeof(float),
                                   copy.size, copy.block.data());
  });
  int64_t offset = 0;
  for (Copy& copy : copies) {
    auto owner = std::make_shared<const BlockRef>(std::move(copy.block));
    const Payload::Slice bytes(reinterpret_cast<const std::byte*>(owner->data()),
                               static_cast<size_t>(copy.size) * sizeof(float));
    GRADD_RETURN_IF_ERROR(
        push->AddChecked(offset, Payload({bytes}, std::move(owner)), copy.squared_norm));
    offset += copy.size;
  }
  return absl::OkStatus();
}

}  // namespace gradd
