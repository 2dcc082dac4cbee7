#include "core/step/window.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

std::unique_ptr<Window> Window::Create(int64_t elements, int64_t block_elements,
                                       MemoryBudget* budget) {
  const int64_t bytes = BytesFor(elements);
  auto claim = budget->TakeNow(MemoryUse::kState, 0);
  if (!budget->WithReclaim(MemoryUse::kState, bytes, [&] { return claim->Resize(bytes); })) {
    return nullptr;
  }
  return std::unique_ptr<Window>(new Window(std::move(claim), elements, block_elements));
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

BlockVector Window::Copy() const {
  const std::shared_ptr<BlockPool> pool = BlockPool::Create();
  BlockVector copy;
  copy.reserve(blocks_.size());
  for (const BlockRef& block : blocks_) {
    copy.push_back(pool->Allocate(block.elements()));
    std::copy_n(block.data(), block.elements(), copy.back().data());
  }
  return copy;
}

absl::Status Window::Restore(const BlockVector& blocks, const WindowFacts& facts) {
  const size_t expected = facts.pushes > 0 ? blocks_.size() : 0;
  if (blocks.size() != expected) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("window: ", blocks.size(), " blocks, ",
                                                         expected, " expected"));
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i] && blocks[i].elements() == blocks_[i].elements()) continue;
    return InvalidArgument(
        "STATE_INVALID",
        absl::StrCat("window: block ", i, " has ", blocks[i] ? blocks[i].elements() : 0,
                     " elements, ", blocks_[i].elements(), " expected"));
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    std::copy_n(blocks[i].data(), blocks[i].elements(), blocks_[i].data());
  }
  facts_ = facts;
  return absl::OkStatus();
}

}  // namespace gradd
