#include "core/step/window.h"

#include <new>
#include <utility>

namespace gradd {

std::unique_ptr<Window> Window::Create(int64_t elements, int64_t block_elements,
                                       MemoryBudget* budget) {
  const int64_t bytes = BytesFor(elements);
  auto claim = budget->TakeNow(MemoryUse::kState, 0);
  if (!budget->WithReclaim(MemoryUse::kState, bytes, [&] { return claim->Resize(bytes); })) {
    return nullptr;
  }
  try {
    return std::unique_ptr<Window>(new Window(std::move(claim), elements, block_elements));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

Window::Window(std::shared_ptr<MemoryBudget::Claim> claim, int64_t elements, int64_t block_elements)
    : claim_(std::move(claim)), block_elements_(block_elements) {
  const std::shared_ptr<BlockPool> pool = BlockPool::Create();
  for (int64_t begin = 0; begin < elements; begin += block_elements) {
    blocks_.push_back(pool->Allocate(std::min(block_elements, elements - begin)));
  }
}

void Window::Fold(const state::v1::FoldedPush& how, const StagedPush& push, int64_t step,
                  Executor* executor) {
  const float keep = how.keep();
  const float take = how.push().coefficient();
  executor->ParallelFor(static_cast<int64_t>(blocks_.size()), [&](int64_t block) {
    const BlockRef& mean = blocks_[static_cast<size_t>(block)];
    StagedPush::Reader reader(push, block * block_elements_);
    alignas(64) std::array<float, kTileElements> scratch;
    for (int64_t at = 0; at < mean.elements(); at += kTileElements) {
      const int64_t size = std::min(kTileElements, mean.elements() - at);
      const UnalignedFloat* const gradient = reader.Next(size, scratch.data());
      float* const out = mean.data() + at;
      if (keep == 0) {
        for (int64_t i = 0; i < size; ++i) out[i] = take * gradient[i];
      } else {
        for (int64_t i = 0; i < size; ++i) out[i] = keep * out[i] + take * gradient[i];
      }
    }
  });
  facts_.Add(how, step);
}

}  // namespace gradd
