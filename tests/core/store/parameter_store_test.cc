#include "core/store/parameter_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/codec/dense.h"
#include "core/store/layout.h"

namespace gradd {
namespace {

using testing::HasSubstr;

constexpr int64_t kEverything = int64_t{1} << 40;

// Two slots for all elements; the training slot starts at the parameters.
SlotVectors TwoSlots(int training_slot = -1) {
  SlotVectors slots;
  slots.slots = {{"first", {{0, kEverything, 0, training_slot == 0, false}}},
                 {"second", {{0, kEverything, 0.5F, training_slot == 1, false}}}};
  slots.training_slot = training_slot;
  return slots;
}

Layout MakeLayout(int64_t elements) {
  v1::Layout layout;
  v1::Tensor& random = *layout.add_tensors();
  random.set_name("random");
  random.add_shape(elements - 3);
  random.mutable_initializer()->mutable_uniform()->set_low(-2);
  random.mutable_initializer()->mutable_uniform()->set_high(3);
  v1::Tensor& constant = *layout.add_tensors();
  constant.set_name("constant");
  constant.add_shape(3);
  constant.mutable_initializer()->set_constant(7);
  return *Layout::Create(layout, elements);
}

std::vector<float> Values(const BlockVector& blocks) {
  std::vector<float> values;
  for (const BlockRef& block : blocks) {
    values.insert(values.end(), block.data(), block.data() + block.elements());
  }
  return values;
}

// Adds 1 to every parameter and 2 to every element of the first slot.
void ApplyStep(ParameterStore* store) {
  for (int64_t block = 0; block < store->block_count(); ++block) {
    store->UpdateBlock(block, [](const ParameterStore::BlockUpdate& update) {
      for (int64_t i = 0; i < update.size; ++i) {
        update.parameters_out[i] = update.parameters_in[i] + 1;
        update.slots_out[0][i] = update.slots_in[0][i] + 2;
        update.slots_out[1][i] = update.slots_in[1][i];
      }
    });
  }
  store->CommitStep();
}

class ParameterStoreTest : public testing::Test {
 protected:
  static constexpr int64_t kElements = 3 * kTileElements + 100;
  ThreadPool pool_{2};
  const Layout layout_ = MakeLayout(kElements);
  ParameterStore store_{layout_, /*seed=*/1, TwoSlots(), &pool_, kTileElements};
};

TEST_F(ParameterStoreTest, WhatIsReservedForSlotsIsEnough) {
  for (const int training_slot : {-1, 1}) {
    SlotVectors slots = TwoSlots(training_slot);
    slots.slots[1].name = training_slot < 0 ? "another" : "point";
    slots.slots[0].sections[0].restarts = true;  // Of a slot that is there.
    store_.ReserveForSlots(slots, store_.slots());
    const int64_t allocations = store_.block_allocations();
    store_.ChangeSlots(slots, &pool_);
    EXPECT_EQ(store_.block_allocations(), allocations) << training_slot;
  }
}

TEST_F(ParameterStoreTest, StartsWithTheLayoutsValues) {
  const auto snapshot = store_.TakeSnapshot(SnapshotContents::kAll);
  const std::vector<float> values = Values(snapshot->parameters);
  ASSERT_EQ(values.size(), static_cast<size_t>(kElements));
  double sum = 0;
  for (size_t i = 0; i + 3 < values.size(); ++i) {
    EXPECT_GE(values[i], -2);
    EXPECT_LT(values[i], 3);
    sum += values[i];
  }
  EXPECT_NEAR(sum / (kElements - 3), 0.5, 0.1);
  for (size_t i = values.size() - 3; i < values.size(); ++i) EXPECT_EQ(values[i], 7);
  EXPECT_EQ(Values(snapshot->slots[0].blocks), std::vector<float>(kElements, 0));
  EXPECT_EQ(Values(snapshot->slots[1].blocks), std::vector<float>(kElements, 0.5f));
}

TEST_F(ParameterStoreTest, InitialValuesDependOnSeedAndNameAlone) {
  const auto values = [&](uint64_t seed, int64_t block_elements, int threads) {
    ThreadPool pool(threads);
    const ParameterStore store(layout_, seed, TwoSlots(), &pool, block_elements);
    return Values(store.TakeSnapshot(SnapshotContents::kEvaluation)->parameters);
  };
  EXPECT_EQ(values(1, kTileElements, 1), values(1, 4 * kTileElements, 4));
  EXPECT_NE(values(1, kTileElements, 1), values(2, kTileElements, 1));
}

TEST_F(ParameterStoreTest, ASnapshotNeverChanges) {
  const auto before = store_.TakeSnapshot(SnapshotContents::kAll);
  const std::vector<float> parameters = Values(before->parameters);
  const std::vector<float> slot = Values(before->slots[0].blocks);
  ApplyStep(&store_);
  EXPECT_EQ(before->step, 0);
  EXPECT_EQ(Values(before->parameters), parameters);
  EXPECT_EQ(Values(before->slots[0].blocks), slot);

  const auto after = store_.TakeSnapshot(SnapshotContents::kAll);
  EXPECT_EQ(after->step, 1);
  const std::vector<float> updated = Values(after->parameters);
  for (size_t i = 0; i < updated.size(); ++i) EXPECT_EQ(updated[i], parameters[i] + 1);
  EXPECT_EQ(Values(after->slots[0].blocks), std::vector<float>(kElements, 2));
}

TEST_F(ParameterStoreTest, UpdatesInPlaceWhatNobodyHolds) {
  const auto addresses = [this] {
    std::vector<const float*> result;
    const auto snapshot = store_.TakeSnapshot(SnapshotContents::kAll);
    for (const BlockRef& block : snapshot->parameters) result.push_back(block.data());
    return result;
  };
  const std::vector<const float*> before = addresses();
  const int64_t allocations = store_.block_allocations();
  ApplyStep(&store_);
  EXPECT_EQ(addresses(), before);
  EXPECT_EQ(store_.block_allocations(), allocations);
}

TEST_F(ParameterStoreTest, SnapshotsOfTheParametersLeaveTheSlotsInPlace) {
  const int64_t allocations = store_.block_allocations();
  const auto held = store_.TakeSnapshot(SnapshotContents::kEvaluation);
  ApplyStep(&store_);
  EXPECT_EQ(store_.block_allocations() - allocations, store_.block_count());
}

TEST_F(ParameterStoreTest, SteadyStateWithSnapshotsAllocatesNothing) {
  auto held = store_.TakeSnapshot(SnapshotContents::kTraining);
  ApplyStep(&store_);
  held = store_.TakeSnapshot(SnapshotContents::kTraining);
  ApplyStep(&store_);
  const int64_t allocations = store_.block_allocations();
  for (int step = 0; step < 50; ++step) {
    held = store_.TakeSnapshot(SnapshotContents::kTraining);
    ApplyStep(&store_);
  }
  EXPECT_EQ(store_.block_allocations(), allocations);
}

TEST_F(ParameterStoreTest, TheTrainingSlotStartsAsTheParametersAndIsHandedOut) {
  ParameterStore store(layout_, 1, TwoSlots(/*training_slot=*/0), &pool_, kTileElements);
  const std::vector<float> initial =
      Values(store.TakeSnapshot(SnapshotContents::kEvaluation)->parameters);
  EXPECT_EQ(Values(store.TakeSnapshot(SnapshotContents::kTraining)->parameters), initial);
  ApplyStep(&store);
  const auto training = Values(store.TakeSnapshot(SnapshotContents::kTraining)->parameters);
  for (size_t i = 0; i < initial.size(); ++i) EXPECT_EQ(training[i], initial[i] + 2);
}

TEST_F(ParameterStoreTest, BlocksOfTheNextStepCanBeReadOneByOne) {
  const auto next = store_.NextSnapshot(v1::ENCODING_FLOAT32);
  EXPECT_EQ(next->step, 1);
  const std::vector<float> before =
      Values(store_.TakeSnapshot(SnapshotContents::kTraining)->parameters);
  for (int64_t block = store_.block_count(); block-- > 0;) {
    EXPECT_FALSE(next->progress->Await(static_cast<size_t>(block), [] {}));
    store_.UpdateBlock(block, [](const ParameterStore::BlockUpdate& update) {
      for (int64_t i = 0; i < update.size; ++i) {
        update.parameters_out[i] = update.parameters_in[i] + 1;
      }
    });
    store_.Publish(block, next.get());
    ASSERT_TRUE(next->progress->Await(static_cast<size_t>(block), [] {}));
    const auto begin = static_cast<size_t>(store_.block_begin(block));
    EXPECT_EQ(next->parameters[static_cast<size_t>(block)].data()[0], before[begin] + 1);
  }
  store_.CommitStep();
  EXPECT_EQ(Values(next->parameters),
            Values(store_.TakeSnapshot(SnapshotContents::kTraining)->parameters));
}

TEST_F(ParameterStoreTest, BlocksOfTheNextStepComeEncodedAsTheyAreWanted) {
  const auto plain = store_.NextSnapshot(v1::ENCODING_FLOAT32);
  const auto encoded = store_.NextSnapshot(v1::ENCODING_BFLOAT16);
  ASSERT_EQ(encoded->encoding, v1::ENCODING_BFLOAT16);
  for (int64_t block = 0; block < store_.block_count(); ++block) {
    store_.UpdateBlock(block, [](const ParameterStore::BlockUpdate& update) {
      std::copy_n(update.parameters_in, update.size, update.parameters_out);
    });
    store_.Publish(block, plain.get());
    store_.Publish(block, encoded.get());
    const auto index = static_cast<size_t>(block);
    ASSERT_TRUE(encoded->progress->Await(index, [] {}));
    const int64_t size = ElementsOfBlock(*encoded, index);
    ASSERT_EQ(size, plain->parameters[index].elements());
    std::vector<std::byte> expected(static_cast<size_t>(size) * 2);
    EncodeDense(v1::ENCODING_BFLOAT16, plain->parameters[index].data(), size, expected.data());
    const Payload payload = BlockPayload(encoded, index);
    ASSERT_EQ(payload.slices().size(), 1U);
    EXPECT_EQ(std::vector<std::byte>(payload.slices()[0].begin(), payload.slices()[0].end()),
              expected);
  }
}

TEST_F(ParameterStoreTest, ABlockThatFloat16CannotHoldComesAsFloat32) {
  for (const float value : {65520.0F, -1e20F, 65519.0F}) {
    const auto next = store_.NextSnapshot(v1::ENCODING_FLOAT16);
    for (int64_t block = 0; block < store_.block_count(); ++block) {
      store_.UpdateBlock(block, [&](const ParameterStore::BlockUpdate& update) {
        std::fill_n(update.parameters_out, update.size, 1.0F);
        if (block == 1) update.parameters_out[5] = value;
      });
      store_.Publish(block, next.get());
    }
    store_.CommitStep();
    for (int64_t block = 0; block < store_.block_count(); ++block) {
      const auto index = static_cast<size_t>(block);
      const bool wide = block == 1 && std::abs(value) >= 65520;
      EXPECT_EQ(EncodingOfBlock(*next, index), wide ? v1::ENCODING_FLOAT32 : v1::ENCODING_FLOAT16);
      const Payload payload = BlockPayload(next, index);
      EXPECT_EQ(payload.size_bytes(),
                static_cast<size_t>(ElementsOfBlock(*next, index)) * (wide ? 4 : 2));
      if (wide) {
        float found = 0;
        std::memcpy(&found, payload.slices()[0].data() + 5 * sizeof(float), sizeof(found));
        EXPECT_EQ(found, value);
      }
    }
  }
}

TEST_F(ParameterStoreTest, ABlockThatIsEncodedWhileItIsWrittenIsTheSame) {
  ParameterStore::Nexts nexts;
  ParameterStore::Nexts expected;
  for (const v1::Encoding encoding :
       {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16, v1::ENCODING_FLOAT16}) {
    nexts[encoding] = store_.NextSnapshot(encoding);
    expected[encoding] = store_.NextSnapshot(encoding);
  }
  for (int64_t block = 0; block < store_.block_count(); ++block) {
    std::optional<EncodedBlocks> encoded;
    store_.UpdateBlock(block, [&](const ParameterStore::BlockUpdate& update) {
      encoded = store_.BeginPublishing(update, nexts);
      for (int64_t begin = 0; begin < update.size; begin += 1000) {
        const int64_t end = std::min<int64_t>(begin + 1000, update.size);
        for (int64_t i = begin; i < end; ++i) {
          update.parameters_out[i] = static_cast<float>(i) * (block == 1 ? 100.0F : 0.1F);
        }
        encoded->UpTo(end);
      }
    });
    store_.Publish(block, nexts, &*encoded);
    for (const auto& [encoding, next] : expected) store_.Publish(block, next.get());
    const auto index = static_cast<size_t>(block);
    for (const auto& [encoding, next] : nexts) {
      ASSERT_TRUE(next->progress->Await(index, [] {}));
      ASSERT_EQ(EncodingOfBlock(*next, index), EncodingOfBlock(*expected[encoding], index));
      const Payload found = BlockPayload(next, index);
      const Payload right = BlockPayload(expected[encoding], index);
      ASSERT_EQ(found.size_bytes(), right.size_bytes());
      EXPECT_EQ(std::memcmp(found.slices()[0].data(), right.slices()[0].data(), right.size_bytes()),
                0)
          << v1::Encoding_Name(encoding) << " of block " << block;
    }
  }
  EXPECT_EQ(EncodingOfBlock(*nexts[v1::ENCODING_FLOAT16], 1), v1::ENCODING_FLOAT32);
}

TEST_F(ParameterStoreTest, KnowsItsLargestMagnitudes) {
  EXPECT_EQ(store_.LargestParameter(&pool_), 7);
  EXPECT_EQ(store_.LargestSlot(&pool_), 0.5F);
  ApplyStep(&store_);
  EXPECT_EQ(store_.LargestParameter(&pool_), 8);
  EXPECT_EQ(store_.LargestSlot(&pool_), 2);
  store_.UpdateBlock(2, [](const ParameterStore::BlockUpdate& update) {
    std::fill_n(update.parameters_out, update.size, -9.0F);
    std::fill_n(update.slots_out[0], update.size, 0.0F);
    std::fill_n(update.slots_out[1], update.size, std::nanf(""));
  });
  EXPECT_EQ(store_.LargestParameter(&pool_), 9);
  EXPECT_TRUE(std::isnan(store_.LargestSlot(&pool_)));
}

TEST_F(ParameterStoreTest, AStepThatHasItsReservationNeedsNoMemory) {
  const auto held = store_.TakeSnapshot(SnapshotContents::kAll);
  const auto next = store_.NextSnapshot(v1::ENCODING_FLOAT16);
  store_.ReserveForStep({next.get()});
  const int64_t allocations = store_.block_allocations();
  for (int64_t block = 0; block < store_.block_count(); ++block) {
    store_.UpdateBlock(block, [](const ParameterStore::BlockUpdate&) {});
    store_.Publish(block, next.get());
  }
  EXPECT_EQ(store_.block_allocations(), allocations);
}

TEST_F(ParameterStoreTest, RestoresParametersSlotsAndStepAndLeavesTheSnapshotAsItIs) {
  ApplyStep(&store_);
  const auto saved = store_.TakeSnapshot(SnapshotContents::kAll);
  const std::vector<float> parameters = Values(saved->parameters);
  // In another order, with another training vector.
  SlotVectors slots = TwoSlots(/*training_slot=*/1);
  std::swap(slots.slots[0], slots.slots[1]);
  slots.training_slot = 0;
  ParameterStore other(layout_, /*seed=*/2, slots, &pool_, kTileElements);
  for (ParameterStore* const store : {&store_, &other}) {
    ApplyStep(store);
    ASSERT_TRUE(store->Restore(*saved).ok());
    const auto restored = store->TakeSnapshot(SnapshotContents::kAll);
    EXPECT_EQ(restored->step, 1);
    EXPECT_EQ(Values(restored->parameters), parameters);
    for (const SnapshotSlot& slot : restored->slots) {
      EXPECT_EQ(Values(slot.blocks), std::vector<float>(kElements, slot.name == "first" ? 2 : 0.5F))
          << slot.name;
    }
    ApplyStep(store);
    EXPECT_EQ(store->step(), 2);
    EXPECT_NE(Values(store->TakeSnapshot(SnapshotContents::kAll)->parameters), parameters);
    EXPECT_EQ(Values(saved->parameters), parameters);
    EXPECT_EQ(Values(saved->slots[0].blocks), std::vector<float>(kElements, 2));
    EXPECT_EQ(Values(saved->slots[1].blocks), std::vector<float>(kElements, 0.5F));
  }
}

TEST_F(ParameterStoreTest, AStepAfterARestoreThatHasItsReservationNeedsNoMemory) {
  const ParameterStore other(layout_, 2, TwoSlots(), &pool_, kTileElements);
  ASSERT_TRUE(store_.Restore(*other.TakeSnapshot(SnapshotContents::kAll)).ok());
  store_.ReserveForStep({});
  const int64_t allocations = store_.block_allocations();
  ApplyStep(&store_);
  EXPECT_EQ(store_.block_allocations(), allocations);
}

TEST_F(ParameterStoreTest, ASnapshotThatDoesNotFitIsRefusedByNameAndChangesNothing) {
  const auto good = store_.TakeSnapshot(SnapshotContents::kAll);
  const struct {
    std::function<void(Snapshot*)> spoil;
    const char* message;
  } cases[] = {
      {[](Snapshot* s) { s->progress = std::make_shared<BlockProgress>(4); },
       "of a step that is being applied"},
      {[](Snapshot* s) { s->encoding = v1::ENCODING_BFLOAT16; }, "encoding: 2, 1 expected"},
      {[](Snapshot* s) { --s->element_count; }, "elements: 6243, 6244 expected"},
      {[](Snapshot* s) { s->block_elements = 4096; },
       "elements of a full block: 4096, 2048 expected"},
      {[](Snapshot* s) { s->parameters.pop_back(); }, "blocks of parameters: 3, 4 expected"},
      {[](Snapshot* s) { s->parameters[2] = {}; },
       "elements of parameters in block 2: 0, 2048 expected"},
      {[](Snapshot* s) { s->parameters[3] = s->parameters[0]; },
       "elements of parameters in block 3: 2048, 100 expected"},
      {[](Snapshot* s) { s->slots.clear(); }, "slot \"first\" is missing"},
      {[](Snapshot* s) { s->slots[1].name = "other"; }, "slot \"other\" is not known"},
      {[](Snapshot* s) { s->slots[1].blocks[1] = {}; },
       "elements of slot \"second\" in block 1: 0, 2048 expected"},
  };
  ApplyStep(&store_);
  const auto before = store_.TakeSnapshot(SnapshotContents::kAll);
  for (const auto& [spoil, message] : cases) {
    Snapshot spoiled = *good;
    spoil(&spoiled);
    const absl::Status status = store_.Restore(spoiled);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << message;
    EXPECT_THAT(status.message(), HasSubstr(message));
    const auto after = store_.TakeSnapshot(SnapshotContents::kAll);
    EXPECT_EQ(after->step, before->step);
    EXPECT_EQ(Values(after->parameters), Values(before->parameters));
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(Values(after->slots[i].blocks), Values(before->slots[i].blocks));
    }
  }
  EXPECT_TRUE(store_.Restore(*good).ok());
}

TEST_F(ParameterStoreTest, ABlockThatTheSlotHasNotIsRefused) {
  SlotVectors slots = TwoSlots();
  slots.slots[0].sections[0].begin = kTileElements;
  ParameterStore partial(layout_, 1, slots, &pool_, kTileElements);
  EXPECT_THAT(partial.Restore(*store_.TakeSnapshot(SnapshotContents::kAll)).message(),
              HasSubstr("elements of slot \"first\" in block 0: 2048, 0 expected"));
  EXPECT_TRUE(partial.Restore(*partial.TakeSnapshot(SnapshotContents::kAll)).ok());
}

TEST_F(ParameterStoreTest, SharedBlocksLieInTheRegionAndStayWhereNobodyHoldsThem) {
  const auto region = *SharedRegion::Create(int64_t{1} << 20, SharedRegion::Access::kPeerReads);
  const std::vector<float> before =
      Values(store_.TakeSnapshot(SnapshotContents::kTraining)->parameters);
  store_.ShareTrainingVector(region);
  const auto offsets = [&] {
    std::vector<int64_t> found;
    const auto snapshot = store_.TakeSnapshot(SnapshotContents::kTraining);
    for (const BlockRef& block : snapshot->parameters) {
      found.push_back(block.region_offset());
      if (block.region_offset() >= 0) {
        EXPECT_EQ(reinterpret_cast<std::byte*>(block.data()),
                  region->data() + block.region_offset());
        EXPECT_EQ(block.region_offset() % PageBytes(), 0);
      }
    }
    return found;
  };
  EXPECT_EQ(offsets(), std::vector<int64_t>(4, -1)) << "it moves with the next step";
  ApplyStep(&store_);
  const std::vector<int64_t> first = offsets();
  EXPECT_GE(*std::min_element(first.begin(), first.end()), 0);
  ApplyStep(&store_);
  EXPECT_EQ(offsets(), first);
  const auto held = store_.TakeSnapshot(SnapshotContents::kTraining);
  ApplyStep(&store_);
  EXPECT_NE(offsets(), first);
  const std::vector<float> now =
      Values(store_.TakeSnapshot(SnapshotContents::kTraining)->parameters);
  for (size_t i = 0; i < now.size(); ++i) {
    ASSERT_EQ(now[i], ((before[i] + 1) + 1) + 1);
    ASSERT_EQ(held->parameters[i / kTileElements].data()[i % kTileElements], (before[i] + 1) + 1);
  }
}

TEST_F(ParameterStoreTest, WhereTheRegionIsFullTheHeapServes) {
  const auto region =
      *SharedRegion::Create(3 * kTileElements * 4, SharedRegion::Access::kPeerReads);
  store_.ShareTrainingVector(region);
  for (int step = 0; step < 3; ++step) ApplyStep(&store_);
  int shared = 0;
  const auto snapshot = store_.TakeSnapshot(SnapshotContents::kTraining);
  for (const BlockRef& block : snapshot->parameters) {
    if (block.region_offset() >= 0) ++shared;
  }
  EXPECT_EQ(shared, 3);
  const auto values = Values(store_.TakeSnapshot(SnapshotContents::kEvaluation)->parameters);
  EXPECT_EQ(values.back(), 10);
}

}  // namespace
}  // namespace gradd
