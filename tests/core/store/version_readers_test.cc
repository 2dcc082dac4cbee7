#include "core/store/version_readers.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"

namespace gradd {
namespace {

using Kind = VersionReaders::Kind;

Layout OneBlock() {
  v1::Layout layout;
  layout.add_tensors()->set_name("w");
  layout.mutable_tensors(0)->add_shape(kTileElements);
  return *Layout::Create(layout, kTileElements);
}

// A store of one block whose steps write nothing new.
class Store {
 public:
  explicit Store(VersionReaders* readers) { readers->AddStore(memory_); }

  void Step() {
    store_.ReserveForStep({});
    store_.UpdateBlock(0, [](const ParameterStore::BlockUpdate& update) {
      update.parameters_out[0] = update.parameters_in[0];
    });
    store_.CommitStep();
    memory_->EndReservations(ReservedFor::kStep);
  }
  std::shared_ptr<const Snapshot> Take() const {
    return store_.TakeSnapshot(SnapshotContents::kEvaluation);
  }
  const StoreMemory* memory() const { return memory_.get(); }
  int64_t bytes() const { return store_.memory_bytes(); }

 private:
  ThreadPool pool_{1};
  const std::shared_ptr<StoreMemory> memory_ = std::make_shared<StoreMemory>();
  ParameterStore store_{OneBlock(), 1, {}, &pool_, kTileElements, memory_};
};

class VersionReadersTest : public testing::Test {
 protected:
  static constexpr int64_t kBytes = kTileElements * static_cast<int64_t>(sizeof(float));
  const std::shared_ptr<VersionReaders> readers_ = VersionReaders::Create();
  Store a_{readers_.get()};
  Store b_{readers_.get()};
};

TEST_F(VersionReadersTest, PullsLoseTheirVersionsBeforeSessionsAndOldOnesFirst) {
  const auto session = readers_->Add(Kind::kSession, a_.Take());
  a_.Step();
  const auto first = readers_->Add(Kind::kPull, a_.Take());
  a_.Step();
  const auto second = readers_->Add(Kind::kPull, a_.Take());
  a_.Step();
  EXPECT_EQ(a_.bytes(), 4 * kBytes);
  ASSERT_TRUE(readers_->GiveBack());
  EXPECT_EQ(first->snapshot(), nullptr);
  EXPECT_NE(second->snapshot(), nullptr);
  EXPECT_EQ(a_.bytes(), 3 * kBytes);
  ASSERT_TRUE(readers_->GiveBack());
  EXPECT_EQ(second->snapshot(), nullptr);
  EXPECT_NE(session->snapshot(), nullptr);
  ASSERT_TRUE(readers_->GiveBack());
  EXPECT_EQ(session->snapshot(), nullptr);
  EXPECT_EQ(a_.bytes(), kBytes);
  EXPECT_FALSE(readers_->GiveBack());
  EXPECT_EQ(readers_->lost_holds(), 3);
}

TEST_F(VersionReadersTest, WhatPoolsKeepWithoutUseGoesFirst) {
  auto over = readers_->Add(Kind::kPull, b_.Take());
  b_.Step();
  over.reset();
  const auto reader = readers_->Add(Kind::kPull, a_.Take());
  a_.Step();
  EXPECT_EQ(b_.bytes(), 2 * kBytes);
  ASSERT_TRUE(readers_->GiveBack());
  EXPECT_EQ(b_.bytes(), kBytes);
  EXPECT_NE(reader->snapshot(), nullptr);
}

TEST_F(VersionReadersTest, ReadersOfTheNewestParametersKeepThemUntilTheirRunSteps) {
  const auto of_a = readers_->Add(Kind::kPull, a_.Take());
  const auto of_b = readers_->Add(Kind::kPull, b_.Take());
  EXPECT_FALSE(readers_->GiveBack()) << "they cost nothing";
  EXPECT_TRUE(readers_->GiveBack(b_.memory()));
  EXPECT_NE(of_a->snapshot(), nullptr);
  EXPECT_EQ(of_b->snapshot(), nullptr);
  EXPECT_FALSE(readers_->GiveBack(b_.memory()));
}

TEST_F(VersionReadersTest, AReaderThatIsDoneIsForgotten) {
  auto reader = readers_->Add(Kind::kPull, a_.Take());
  a_.Step();
  ASSERT_TRUE(readers_->GiveBack());
  EXPECT_EQ(readers_->lost_holds(), 1);
  reader.reset();
  EXPECT_EQ(readers_->lost_holds(), 0);
}

TEST_F(VersionReadersTest, ItsErrorSaysWhatToDo) {
  const absl::Status lost = VersionReaders::LostError(7);
  EXPECT_EQ(lost.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(ReasonOf(lost), "VERSION_LOST");
}

}  // namespace
}  // namespace gradd
