#include "core/store/parameter_store.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/mutex.h"
#include "core/codec/dense.h"
#include "core/store/encoded_block.h"
#include "core/store/initializer.h"

namespace gradd {
namespace {

absl::Status Differs(absl::string_view what) {
  return InvalidArgument("SNAPSHOT_DIFFERS", absl::StrCat("snapshot: ", what));
}

absl::Status CheckNumber(absl::string_view name, int64_t found, int64_t expected) {
  if (found == expected) return absl::OkStatus();
  return Differs(absl::StrCat(name, ": ", found, ", ", expected, " expected"));
}

// The largest magnitude in vectors of as many blocks each. Takes no memory: it is asked for after a
// step, when none may be missing.
float LargestOf(absl::Span<const BlockVector> vectors, Executor* pool) {
  if (vectors.empty()) return 0;
  std::atomic<float> largest{0};
  pool->ParallelFor(static_cast<int64_t>(vectors[0].size()), [&](int64_t block) {
    float of_block = 0;
    for (const BlockVector& vector : vectors) {
      const BlockRef& values = vector[static_cast<size_t>(block)];
      if (!values) continue;
      of_block = LargerMagnitude(of_block, LargestMagnitude(values.data(), values.elements()));
    }
    float so_far = largest.load(std::memory_order_relaxed);
    // Also where it is no number, which none replaces.
    while (!(of_block <= so_far) && !std::isnan(so_far) &&
           !largest.compare_exchange_weak(so_far, of_block, std::memory_order_relaxed)) {
    }
  });
  return largest.load(std::memory_order_relaxed);
}

// The one with `name`, or null.
template <typename Slot>
const Slot* FindSlot(const std::vector<Slot>& slots, absl::string_view name) {
  const auto found =
      std::find_if(slots.begin(), slots.end(), [&](const Slot& slot) { return slot.name == name; });
  return found == slots.end() ? nullptr : &*found;
}

std::shared_ptr<StoreMemory> OrNew(std::shared_ptr<StoreMemory> memory) {
  return memory != nullptr ? std::move(memory) : std::make_shared<StoreMemory>();
}

}  // namespace

StorePools StorePools::Create(std::shared_ptr<StoreMemory> memory) {
  StorePools pools;
  pools.memory = OrNew(std::move(memory));
  pools.state = BlockPool::Create(pools.memory);
  pools.training = BlockPool::Create(pools.memory);
  return pools;
}

ParameterStore::ParameterStore(const Layout& layout, uint64_t seed, SlotVectors slots,
                               Executor* pool, int64_t block_elements,
                               std::shared_ptr<StoreMemory> memory)
    : element_count_(layout.element_count()),
      block_elements_(block_elements),
      memory_(OrNew(std::move(memory))),
      pool_(BlockPool::Create(memory_)),
      training_pool_(BlockPool::Create(memory_)),
      encoded_pool_(BlockPool::Create(memory_)) {
  const absl::Status begun =
      Begin(LayoutInitializer(layout.message(), seed), std::move(slots), pool);
  GRADD_DCHECK(begun.ok(), begun.message());
}

absl::StatusOr<ParameterStore> ParameterStore::Create(int64_t element_count,
                                                      const InitialValues& values,
                                                      SlotVectors slots, Executor* pool,
                                                      int64_t block_elements,
                                                      std::shared_ptr<StoreMemory> memory) {
  ParameterStore store(element_count, block_elements, {}, StorePools::Create(std::move(memory)));
  GRADD_RETURN_IF_ERROR(store.Begin(values, std::move(slots), pool));
  return store;
}

absl::Status ParameterStore::Begin(const InitialValues& values, SlotVectors slots, Executor* pool) {
  layout_.training_slot = slots.training_slot;
  parameters_ = NewVector(PoolOf(-1));
  // All memory is there by now: the threads must not throw.
  const std::unique_ptr<double[]> scratch(new double[static_cast<size_t>(values.scratch_size())]);
  Mutex mutex;
  int64_t wrong_block = block_count();  // The first one, so that the error does not depend on time.
  absl::Status wrong;
  pool->ParallelFor(block_count(), [&](int64_t block) {
    const BlockRef& to = parameters_[static_cast<size_t>(block)];
    absl::Status filled = values.Fill(block_begin(block), to.elements(), to.data());
    if (filled.ok()) return;
    MutexLock lock(&mutex);
    if (block >= wrong_block) return;
    wrong_block = block;
    wrong = std::move(filled);
  });
  GRADD_RETURN_IF_ERROR(wrong);
  values.FillWhole(
      block_elements_,
      [this](int64_t block) { return parameters_[static_cast<size_t>(block)].data(); },
      scratch.get(), pool);
  ChangeSlots(std::move(slots), pool);
  return absl::OkStatus();
}

BlockVector ParameterStore::NewVector(BlockPool* pool) const {
  BlockVector blocks;
  blocks.reserve(static_cast<size_t>((element_count_ + block_elements_ - 1) / block_elements_));
  for (int64_t begin = 0; begin < element_count_; begin += block_elements_) {
    blocks.push_back(pool->Allocate(std::min(block_elements_, element_count_ - begin)));
  }
  return blocks;
}

void ParameterStore::StartBlock(const SlotVector& slot, int64_t block, bool restart,
                                float* values) const {
  const BlockRef& parameters = parameters_[static_cast<size_t>(block)];
  const int64_t first = block_begin(block);
  if (!restart) std::fill_n(values, parameters.elements(), 0.0F);
  for (const SlotVector::Section& section : slot.sections) {
    if (restart && !section.restarts) continue;
    const int64_t begin = std::max<int64_t>(section.begin - first, 0);
    const int64_t end = std::min(section.end - first, parameters.elements());
    if (begin >= end) continue;
    if (section.starts_at_parameters) {
      std::copy(parameters.data() + begin, parameters.data() + end, values + begin);
    } else {
      std::fill(values + begin, values + end, section.initial_value);
    }
  }
}

ParameterStore::ParameterStore(const Snapshot& origin, SlotVectors slots, Executor* pool,
                               std::shared_ptr<StoreMemory> memory)
    : element_count_(origin.element_count),
      block_elements_(origin.block_elements),
      memory_(OrNew(std::move(memory))),
      pool_(BlockPool::Create(memory_)),
      training_pool_(BlockPool::Create(memory_)),
      encoded_pool_(BlockPool::Create(memory_)),
      parameters_(origin.parameters) {
  ChangeSlots(std::move(slots), pool);
}

ParameterStore::ParameterStore(int64_t element_count, int64_t block_elements, SlotVectors slots,
                               StorePools pools)
    : element_count_(element_count),
      block_elements_(block_elements),
      memory_(std::move(pools.memory)),
      pool_(std::move(pools.state)),
      training_pool_(std::move(pools.training)),
      encoded_pool_(BlockPool::Create(memory_)),
      layout_(std::move(slots)),
      parameters_(static_cast<size_t>((element_count + block_elements - 1) / block_elements)),
      slots_(layout_.slots.size(), BlockVector(parameters_.size())) {}

ParameterStore::SlotChange ParameterStore::BeginChange(SlotVectors slots) const {
  SlotChange change;
  change.vectors_.assign(slots.slots.size(), BlockVector(parameters_.size()));
  for (size_t slot = 0; slot < change.vectors_.size(); ++slot) {
    const SlotVector& wanted = slots.slots[slot];
    const BlockVector none(parameters_.size());
    const SlotVector* const same = FindSlot(layout_.slots, wanted.name);
    const BlockVector& old =
        same == nullptr ? none : slots_[static_cast<size_t>(same - layout_.slots.data())];
    SlotVector restarting;
    std::copy_if(wanted.sections.begin(), wanted.sections.end(),
                 std::back_inserter(restarting.sections),
                 [](const SlotVector::Section& section) { return section.restarts; });
    BlockPool* const blocks =
        (static_cast<int>(slot) == slots.training_slot ? training_pool_ : pool_).get();
    for (int64_t block = 0; block < block_count(); ++block) {
      const auto index = static_cast<size_t>(block);
      const int64_t begin = block_begin(block);
      const int64_t end = begin + parameters_[index].elements();
      if (!wanted.Meets(begin, end)) continue;
      if (old[index] && !restarting.Meets(begin, end)) {
        change.vectors_[slot][index] = old[index];
      } else {
        change.vectors_[slot][index] = blocks->Allocate(end - begin, ReservedFor::kChange);
        change.fresh_.push_back({slot, block, old[index]});
      }
    }
  }
  change.slots_ = std::move(slots);
  return change;
}

void ParameterStore::FillChange(const SlotChange& change, Executor* pool) const {
  // Their memory is there by now: the threads must not throw.
  pool->ParallelFor(static_cast<int64_t>(change.fresh_.size()), [&](int64_t i) {
    const SlotChange::Fresh& start = change.fresh_[static_cast<size_t>(i)];
    const BlockRef& values = change.vectors_[start.slot][static_cast<size_t>(start.block)];
    if (start.old) std::copy_n(start.old.data(), values.elements(), values.data());
    StartBlock(change.slots_.slots[start.slot], start.block, static_cast<bool>(start.old),
               values.data());
  });
}

void ParameterStore::Adopt(SlotChange change) {
  GRADD_DCHECK(
      change.vectors_.size() == change.slots_.slots.size(),
      absl::StrCat(change.vectors_.size(), " vectors for ", change.slots_.slots.size(), " slots"));
  layout_ = std::move(change.slots_);
  slots_ = std::move(change.vectors_);
}

void ParameterStore::ChangeSlots(SlotVectors slots, Executor* pool) {
  SlotChange change = BeginChange(std::move(slots));
  FillChange(change, pool);
  Adopt(std::move(change));
}

void ParameterStore::ReserveForSlots(const SlotVectors& slots, const SlotVectors& present) const {
  BlockCounts blocks;
  // All lengths, so that nothing of an earlier change stays reserved. Not by looking at blocks: a
  // step may be replacing them.
  for (int64_t begin = 0; begin < element_count_; begin += block_elements_) {
    const int64_t elements = std::min(block_elements_, element_count_ - begin);
    for (const auto& pool : {pool_, training_pool_}) blocks[{pool.get(), elements}] = 0;
  }
  for (size_t index = 0; index < slots.slots.size(); ++index) {
    const SlotVector& slot = slots.slots[index];
    BlockPool* const pool =
        (static_cast<int>(index) == slots.training_slot ? training_pool_ : pool_).get();
    for (int64_t begin = 0; begin < element_count_; begin += block_elements_) {
      const int64_t end = std::min(begin + block_elements_, element_count_);
      const bool there = std::any_of(
          present.slots.begin(), present.slots.end(),
          [&](const auto& other) { return other.name == slot.name && other.Meets(begin, end); });
      const bool restarts = std::any_of(
          slot.sections.begin(), slot.sections.end(), [&](const SlotVector::Section& section) {
            return section.restarts && section.begin < end && begin < section.end;
          });
      if (slot.Meets(begin, end) && (!there || restarts)) ++blocks[{pool, end - begin}];
    }
  }
  ReserveAll(ReservedFor::kChange, blocks);
}

void ParameterStore::ReserveAll(ReservedFor who, const BlockCounts& blocks) {
  BlockCounts raised;  // From how many.
  std::map<BlockPool*, int64_t> made_bytes;
  try {
    for (const auto& [which, count] : blocks) {
      const auto [pool, elements] = which;
      const int64_t before = pool->reserved(who, elements);
      if (count <= before) continue;
      made_bytes[pool] += pool->Reserve(who, elements, count);
      raised[which] = before;
    }
  } catch (const std::bad_alloc&) {
    for (const auto& [which, before] : raised) which.first->Reserve(who, which.second, before);
    // Nobody has touched that memory: it goes back in no time. To get it anew would be no progress.
    for (const auto& [pool, bytes] : made_bytes) pool->FreeUnused(bytes);
    throw;
  }
  // To have fewer cannot fail.
  for (const auto& [which, count] : blocks) which.first->Reserve(who, which.second, count);
}

std::shared_ptr<Snapshot> ParameterStore::NewSnapshot(int64_t step) const {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->step = step;
  snapshot->timeline = timeline_;
  snapshot->element_count = element_count_;
  snapshot->block_elements = block_elements_;
  snapshot->memory = memory_;
  return snapshot;
}

std::shared_ptr<const Snapshot> ParameterStore::TakeSnapshot(SnapshotContents contents) const {
  auto snapshot = NewSnapshot(step_);
  snapshot->parameters = parameters_;
  if (contents == SnapshotContents::kTraining) snapshot->parameters = training_vector();
  if (contents == SnapshotContents::kAverage && has_average()) {
    snapshot->parameters = slots_[static_cast<size_t>(layout_.average_slot)];
  }
  if (contents == SnapshotContents::kAll) {
    for (size_t slot = 0; slot < slots_.size(); ++slot) {
      snapshot->slots.push_back(
          {layout_.slots[slot].name, slots_[slot], layout_.slots[slot].sections});
    }
  }
  return snapshot;
}

absl::Status ParameterStore::CheckBlocks(absl::string_view name, const BlockVector& found,
                                         const SlotVector* slot) const {
  GRADD_RETURN_IF_ERROR(CheckNumber(absl::StrCat("blocks of ", name),
                                    static_cast<int64_t>(found.size()), block_count()));
  for (size_t i = 0; i < found.size(); ++i) {
    const int64_t begin = block_begin(static_cast<int64_t>(i));
    const int64_t end = std::min(begin + block_elements_, element_count_);
    const int64_t expected = slot == nullptr || slot->Meets(begin, end) ? end - begin : 0;
    GRADD_RETURN_IF_ERROR(CheckNumber(absl::StrCat("elements of ", name, " in block ", i),
                                      found[i] ? found[i].elements() : 0, expected));
  }
  return absl::OkStatus();
}

absl::Status ParameterStore::Restore(const Snapshot& snapshot) {
  if (snapshot.progress != nullptr) return Differs("of a step that is being applied");
  GRADD_RETURN_IF_ERROR(CheckNumber("encoding", snapshot.encoding, v1::ENCODING_FLOAT32));
  GRADD_RETURN_IF_ERROR(CheckNumber("elements", snapshot.element_count, element_count_));
  GRADD_RETURN_IF_ERROR(
      CheckNumber("elements of a full block", snapshot.block_elements, block_elements_));
  GRADD_RETURN_IF_ERROR(CheckBlocks("parameters", snapshot.parameters, nullptr));
  for (const SnapshotSlot& slot : snapshot.slots) {
    if (FindSlot(layout_.slots, slot.name) == nullptr) {
      return Differs(absl::StrCat("slot \"", slot.name, "\" is not known"));
    }
  }
  std::vector<BlockVector> slots;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const std::string& name = layout_.slots[i].name;
    const SnapshotSlot* const found = FindSlot(snapshot.slots, name);
    if (found == nullptr) return Differs(absl::StrCat("slot \"", name, "\" is missing"));
    GRADD_RETURN_IF_ERROR(
        CheckBlocks(absl::StrCat("slot \"", name, "\""), found->blocks, &layout_.slots[i]));
    slots.push_back(found->blocks);
  }
  BlockVector parameters = snapshot.parameters;
  parameters_ = std::move(parameters);
  slots_ = std::move(slots);
  step_ = snapshot.step;
  memory_->set_step(step_);
  return absl::OkStatus();
}

float ParameterStore::LargestParameter(Executor* pool) const {
  return LargestOf({&parameters_, 1}, pool);
}

float ParameterStore::LargestSlot(Executor* pool) const { return LargestOf(slots_, pool); }

std::shared_ptr<Snapshot> ParameterStore::NextSnapshot(v1::Encoding encoding) const {
  auto next = NewSnapshot(step_ + 1);
  next->encoding = encoding;
  next->parameters.resize(parameters_.size());
  if (encoding == v1::ENCODING_FLOAT16) next->is_float32.resize(parameters_.size());
  next->progress = std::make_shared<BlockProgress>(parameters_.size());
  return next;
}

void ParameterStore::Publish(int64_t block, Snapshot* next) const {
  BlockRef encoded;
  if (next->encoding != v1::ENCODING_FLOAT32) {
    const BlockRef& values = training_vector()[static_cast<size_t>(block)];
    encoded = EncodeBlock(next->encoding, values, encoded_pool_.get());
  }
  PublishAs(block, std::move(encoded), next);
}

EncodedBlocks ParameterStore::BeginPublishing(const BlockUpdate& update, const Nexts& nexts) const {
  const float* const values = layout_.training_slot < 0
                                  ? update.parameters_out
                                  : update.slots_out[static_cast<size_t>(layout_.training_slot)];
  EncodedBlocks encoded(values, update.size);
  for (const auto& [encoding, next] : nexts) {
    if (encoding != v1::ENCODING_FLOAT32) encoded.Add(encoding, encoded_pool_.get());
  }
  return encoded;
}

void ParameterStore::Publish(int64_t block, const Nexts& nexts, EncodedBlocks* encoded) const {
  for (const auto& [encoding, next] : nexts) PublishAs(block, encoded->Take(encoding), next.get());
}

void ParameterStore::PublishAs(int64_t block, BlockRef encoded, Snapshot* next) const {
  GRADD_DCHECK(next->step == step_ + 1,
               absl::StrCat("a block of step ", step_ + 1, " for a snapshot of ", next->step));
  const auto index = static_cast<size_t>(block);
  if (encoded) {
    next->parameters[index] = std::move(encoded);
  } else {
    next->parameters[index] = training_vector()[index];
    if (next->encoding != v1::ENCODING_FLOAT32) next->is_float32[index] = 1;
  }
  next->progress->SetFinal(index);
}

void ParameterStore::ShareTrainingVector(std::shared_ptr<SharedRegion> region) {
  // The pool that was there goes with the last of its blocks.
  training_pool_ = BlockPool::Create(memory_, std::move(region));
}

bool ParameterStore::WritesElsewhere(int64_t block) const {
  const auto index = static_cast<size_t>(block);
  if (MustReplace(parameters_[index], *PoolOf(-1))) return true;
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const BlockRef& values = slots_[slot][index];
    if (values && MustReplace(values, *PoolOf(static_cast<int>(slot)))) return true;
  }
  return false;
}

void ParameterStore::ReserveForStep(const std::vector<const Snapshot*>& nexts,
                                    const std::vector<bool>& touched) const {
  BlockCounts blocks;
  const auto add = [&](const BlockVector& vector, BlockPool* pool) {
    for (size_t i = 0; i < vector.size(); ++i) {
      const BlockRef& block = vector[i];
      if (!touched.empty() && !touched[i]) continue;
      if (block && MustReplace(block, *pool)) ++blocks[{pool, block.elements()}];
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
  ReserveAll(ReservedFor::kStep, blocks);
}

bool ParameterStore::HasRoomForVersion() const {
  BlockCounts blocks;
  for (const BlockRef& block : parameters_) ++blocks[{training_pool_.get(), block.elements()}];
  try {
    ReserveAll(ReservedFor::kStep, blocks);
  } catch (const std::bad_alloc&) {
    return false;
  }
  training_pool_->EndReservation(ReservedFor::kStep);
  return true;
}

ParameterStore::Remains ParameterStore::TakeAll() {
  Remains remains;
  remains.blocks = std::exchange(slots_, {});
  remains.blocks.push_back(std::exchange(parameters_, {}));
  for (auto* const pool : {&pool_, &training_pool_, &encoded_pool_}) {
    remains.pools.push_back(std::exchange(*pool, BlockPool::Create(memory_)));
  }
  memory_->set_ended();
  return remains;
}

ParameterStore::BlockUpdate ParameterStore::Open(int64_t block, Replacement* replacement) {
  const auto index = static_cast<size_t>(block);
  const auto open = [](const BlockRef& current, BlockPool* pool, BlockRef* fresh) {
    if (!MustReplace(current, *pool)) return current.data();
    *fresh = pool->Allocate(current.elements(), ReservedFor::kStep);
    return fresh->data();
  };
  BlockUpdate update;
  update.begin = block_begin(block);
  update.size = parameters_[index].elements();
  update.parameters_in = parameters_[index].data();
  update.parameters_out = open(parameters_[index], PoolOf(-1), &replacement->parameters);
  replacement->slots.resize(slots_.size());
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const BlockRef& values = slots_[slot][index];
    update.slots_in.push_back(values ? values.data() : nullptr);
    update.slots_out.push_back(
        values ? open(values, PoolOf(static_cast<int>(slot)), &replacement->slots[slot]) : nullptr);
  }
  return update;
}

ParameterStore::BlockUpdate ParameterStore::ReadBlock(int64_t block) const {
  const auto index = static_cast<size_t>(block);
  BlockUpdate read;
  read.begin = block_begin(block);
  read.size = parameters_[index].elements();
  read.parameters_in = parameters_[index].data();
  for (const BlockVector& slot : slots_) {
    read.slots_in.push_back(slot[index] ? slot[index].data() : nullptr);
  }
  return read;
}

void ParameterStore::Keep(BlockUpdate* update) {
  const auto keep = [size = update->size](const float** in, float* out) {
    if (*in == out) return;
    std::copy_n(*in, size, out);
    *in = out;
  };
  keep(&update->parameters_in, update->parameters_out);
  for (size_t slot = 0; slot < update->slots_in.size(); ++slot) {
    keep(&update->slots_in[slot], update->slots_out[slot]);
  }
}

void ParameterStore::Close(int64_t block, Replacement replacement) {
  const auto index = static_cast<size_t>(block);
  if (replacement.parameters) parameters_[index] = std::move(replacement.parameters);
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    if (replacement.slots[slot]) slots_[slot][index] = std::move(replacement.slots[slot]);
  }
}

}  // namespace gradd
