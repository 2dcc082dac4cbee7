#include "core/store/parameter_store.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "core/store/encoded_block.h"
#include "core/store/initializer.h"

namespace gradd {

ParameterStore::ParameterStore(const Layout& layout, uint64_t seed, const Optimizer& optimizer,
                               ThreadPool* pool, int64_t block_elements)
    : element_count_(layout.element_count()),
      block_elements_(block_elements),
      training_slot_(optimizer.training_slot()),
      pool_(BlockPool::Create()),
      training_pool_(BlockPool::Create()),
      encoded_pool_(BlockPool::Create()) {
  parameters_ = NewVector(PoolOf(-1));
  for (size_t i = 0; i < optimizer.slots().size(); ++i) {
    slots_.push_back(NewVector(PoolOf(static_cast<int>(i))));
  }
  // Everything is allocated by now: the threads must not throw.
  const LayoutInitializer initializer(layout.message(), seed);
  pool->ParallelFor(block_count(), [&](int64_t block) {
    const auto index = static_cast<size_t>(block);
    float* const parameters = parameters_[index].data();
    const int64_t size = parameters_[index].elements();
    initializer.Fill(block_begin(block), size, parameters);
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
      float* const values = slots_[slot][index].data();
      if (static_cast<int>(slot) == training_slot_) {
        std::memcpy(values, parameters, static_cast<size_t>(size) * sizeof(float));
      } else {
        std::fill_n(values, size, optimizer.slots()[slot].initial_value);
      }
    }
  });
}

BlockVector ParameterStore::NewVector(BlockPool* pool) const {
  BlockVector blocks;
  blocks.reserve(static_cast<size_t>((element_count_ + block_elements_ - 1) / block_elements_));
  for (int64_t begin = 0; begin < element_count_; begin += block_elements_) {
    blocks.push_back(pool->Allocate(std::min(block_elements_, element_count_ - begin)));
  }
  return blocks;
}

std::shared_ptr<Snapshot> ParameterStore::NewSnapshot(int64_t step) const {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->step = step;
  snapshot->element_count = element_count_;
  snapshot->block_elements = block_elements_;
  return snapshot;
}

std::shared_ptr<const Snapshot> ParameterStore::TakeSnapshot(SnapshotContents contents) const {
  auto snapshot = NewSnapshot(step_);
  snapshot->parameters = contents == SnapshotContents::kTraining ? training_vector() : parameters_;
  if (contents == SnapshotContents::kAll) snapshot->slots = slots_;
  return snapshot;
}

std::shared_ptr<Snapshot> ParameterStore::NextSnapshot(v1::Encoding encoding) const {
  auto next = NewSnapshot(step_ + 1);
  next->encoding = encoding;
  next->parameters.resize(parameters_.size());
  next->progress = std::make_shared<BlockProgress>(parameters_.size());
  return next;
}

void ParameterStore::Publish(int64_t block, Snapshot* next) const {
  const auto index = static_cast<size_t>(block);
  const BlockRef& values = training_vector()[index];
  if (next->encoding == v1::ENCODING_FLOAT32) {
    next->parameters[index] = values;
  } else {
    next->parameters[index] = EncodeBlock(next->encoding, values, encoded_pool_.get());
  }
  next->progress->SetFinal(index);
}

void ParameterStore::ShareTrainingVector(std::shared_ptr<SharedRegion> region) {
  // The pool that was there goes with the last of its blocks.
  training_pool_ = BlockPool::Create(std::move(region));
}

void ParameterStore::ReserveForStep(const std::vector<const Snapshot*>& nexts) const {
  std::map<std::pair<BlockPool*, int64_t>, int64_t> blocks;  // By pool and length.
  const auto add = [&blocks](const BlockVector& vector, BlockPool* pool) {
    for (const BlockRef& block : vector) {
      if (MustReplace(block, *pool)) ++blocks[{pool, block.elements()}];
    }
  };
  add(parameters_, PoolOf(-1));
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    add(slots_[slot], PoolOf(static_cast<int>(slot)));
  }
  for (const Snapshot* const next : nexts) {
    if (next->encoding == v1::ENCODING_FLOAT32) continue;
    for (const BlockRef& block : parameters_) {
      ++blocks[{encoded_pool_.get(), EncodedBlockLength(next->encoding, block.elements())}];
    }
  }
  for (const auto& [which, count] : blocks) which.first->Reserve(which.second, count);
}

ParameterStore::BlockUpdate ParameterStore::Open(int64_t block, Replacement* replacement) {
  const auto index = static_cast<size_t>(block);
  const auto open = [](const BlockRef& current, BlockPool* pool, BlockRef* fresh) {
    if (!MustReplace(current, *pool)) return current.data();
    *fresh = pool->Allocate(current.elements());
    return fresh->data();
  };
  BlockUpdate update;
  update.begin = block_begin(block);
  update.size = parameters_[index].elements();
  update.parameters_in = parameters_[index].data();
  update.parameters_out = open(parameters_[index], PoolOf(-1), &replacement->parameters);
  replacement->slots.resize(slots_.size());
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    update.slots_in.push_back(slots_[slot][index].data());
    update.slots_out.push_back(
        open(slots_[slot][index], PoolOf(static_cast<int>(slot)), &replacement->slots[slot]));
  }
  return update;
}

void ParameterStore::Close(int64_t block, Replacement replacement) {
  const auto index = static_cast<size_t>(block);
  if (replacement.parameters) parameters_[index] = std::move(replacement.parameters);
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (replacement.slots[slot]) slots_[slot][index] = std::move(replacement.slots[slot]);
  }
}

}  // namespace gradd
