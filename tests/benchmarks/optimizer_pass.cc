#include "tests/benchmarks/optimizer_pass.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>

#include "absl/types/span.h"
#include "core/optim/optimizer_factory.h"

namespace gradd {
namespace {

constexpr size_t kMaxSlots = 8;

}  // namespace

OptimizerPass::Vector::Vector(BlockPool* pool) {
  for (int64_t begin = 0; begin < kElements; begin += kBlockElements) {
    blocks_.push_back(pool->Allocate(std::min(kBlockElements, kElements - begin)));
  }
}

void OptimizerPass::Fill(const Vector& vector, float value) {
  ForEachBlock([&](int64_t block, int64_t size) { std::fill_n(vector.block(block), size, value); });
}

OptimizerPass::OptimizerPass(int threads)
    : pool_(threads),
      blocks_(BlockPool::Create()),
      parameters_(blocks_.get()),
      gradient_(blocks_.get()) {
  Fill(parameters_, 1);
  Fill(gradient_, 1e-3f);
}

void OptimizerPass::Begin(const OptimizerCase& row) {
  v1::Optimizer spec;
  google::protobuf::TextFormat::ParseFromString(row.spec, &spec);
  optimizer_ = *MakeOptimizer(spec);
  learning_rate_ = row.learning_rate;
  step_ = 0;
  Fill(parameters_, 1);
  const std::vector<SlotSpec>& slots = optimizer_->slots();
  while (slots_.size() < slots.size()) slots_.emplace_back(blocks_.get());
  for (size_t k = 0; k < slots.size(); ++k) {
    Fill(slots_[k], slots[k].starts_at_parameters ? 1 : slots[k].initial_value);
  }
  kept_.clear();
  for (const ScalarSpec& scalar : optimizer_->scalars()) kept_.push_back(scalar.initial_value);
}

void OptimizerPass::Step() {
  optimizer_->BeginStep({step_++, learning_rate_, 0}, absl::MakeSpan(kept_));
  const size_t slots = optimizer_->slots().size();
  ForEachBlock([&](int64_t block, int64_t size) {
    std::array<const float*, kMaxSlots> in;
    std::array<float*, kMaxSlots> out;
    for (int64_t at = 0; at < size; at += kTileElements) {
      for (size_t k = 0; k < slots; ++k) in[k] = out[k] = slots_[k].block(block) + at;
      Tile tile;
      tile.begin = block * kBlockElements + at;
      tile.size = std::min(kTileElements, size - at);
      tile.gradient = gradient_.block(block) + at;
      tile.parameters_in = parameters_.block(block) + at;
      tile.parameters_out = parameters_.block(block) + at;
      tile.slots_in = in.data();
      tile.slots_out = out.data();
      TileNorms norms;
      optimizer_->UpdateTile(tile, &norms);
    }
  });
}

int64_t OptimizerPass::step_bytes() const {
  return (3 + 2 * static_cast<int64_t>(optimizer_->slots().size())) *
         static_cast<int64_t>(sizeof(float)) * kElements;
}

void OptimizerPass::Sweep() {
  ForEachBlock([&](int64_t block, int64_t size) {
    float* const p = parameters_.block(block);
    const float* const g = gradient_.block(block);
    for (int64_t i = 0; i < size; ++i) p[i] -= 0.01f * g[i];
  });
}

void OptimizerPass::ForEachBlock(const std::function<void(int64_t, int64_t)>& task) {
  pool_.ParallelFor((kElements + kBlockElements - 1) / kBlockElements, [&](int64_t block) {
    task(block, std::min(kBlockElements, kElements - block * kBlockElements));
  });
}

}  // namespace gradd
