// What workers leave with their pushes: it counts as the push does, outlives the server as the
// ledger does, and is claimed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <future>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/members/worker_blobs.h"
#include "core/run/blob_room.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::HasSubstr;

class WorkerBlobTest : public testing::Test {
 protected:
  // As the worker's next welcome has it.
  static v1::WorkerBlob BlobOf(RunRegistry* registry, const std::string& worker) {
    FakeWorker again(registry, "r", worker);
    again.Join();
    EXPECT_TRUE(again.welcome().has_value());
    return again.welcome()->blob();
  }
  // What `worker` left, after it was away for a moment.
  v1::WorkerBlob Found(FakeWorker* worker, const std::string& id) {
    worker->Disconnect();
    return BlobOf(&registry_, id);
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/1, &clock_};
};

TEST_F(WorkerBlobTest, IsFoundAgainWithThePushThatItCameWith) {
  ASSERT_TRUE(registry_.Create("r", AsynchronousSpec(1), "").ok());
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  EXPECT_EQ(worker.welcome()->limits().max_blob_bytes(), WorkerBlobs::kMostBytes);
  EXPECT_FALSE(worker.welcome()->has_blob());
  worker.SetBlob(std::string("\0random", 7));
  worker.Push(1, 0, {1});
  worker.SetBlob("");
  worker.Push(2, 1, {1});
  ASSERT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  const v1::WorkerBlob blob = Found(&worker, "w");
  EXPECT_EQ(blob.data(), std::string("\0random", 7));
  EXPECT_EQ(blob.sequence(), 1);
  EXPECT_EQ(blob.timeline(), 1U);
}

TEST_F(WorkerBlobTest, ThatOfTheCommitTakesThePlaceOfTheHeaders) {
  ASSERT_TRUE(registry_.Create("r", AsynchronousSpec(1), "").ok());
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  v1::TrainRequest request;
  v1::Push& push = *request.mutable_push();
  push.mutable_header()->set_sequence(1);
  push.mutable_header()->set_examples(1);
  push.mutable_header()->set_blob("early");
  push.mutable_chunk();
  push.mutable_commit()->set_blob("late");
  const auto value = std::make_shared<float>(1.0F);
  worker.Request(request,
                 Payload({Payload::Slice(reinterpret_cast<std::byte*>(value.get()), 4)}, value));
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(Found(&worker, "w").data(), "late");
}

TEST_F(WorkerBlobTest, APushThatDoesNotCountLeavesNothing) {
  ASSERT_TRUE(registry_.Create("r", AsynchronousSpec(1), "").ok());
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.SetBlob("kept");
  worker.Push(1, 0, {1});
  worker.SetBlob("not kept");
  worker.Push(2, 1, {std::numeric_limits<float>::infinity()});
  ASSERT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_REJECTED);
  EXPECT_EQ(Found(&worker, "w").data(), "kept");
}

TEST_F(WorkerBlobTest, ASkippedPushCounts) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_optimizer()->mutable_skip_non_finite()->set_max_in_a_row(2);
  ASSERT_TRUE(registry_.Create("r", spec, "").ok());
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.SetBlob("skipped");
  worker.Push(1, 0, {std::numeric_limits<float>::infinity()});
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_SKIPPED);
  EXPECT_EQ(Found(&worker, "w").data(), "skipped");
}

TEST_F(WorkerBlobTest, APushOfAWindowCounts) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_optimizer()->set_accumulation_steps(3);
  ASSERT_TRUE(registry_.Create("r", spec, "").ok());
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.SetBlob("folded");
  worker.Push(1, 0, {1});
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_ACCUMULATED);
  EXPECT_EQ(Found(&worker, "w").data(), "folded");
}

TEST_F(WorkerBlobTest, GoesWithItsWorkerAndStaysWhenThatIsLost) {
  ASSERT_TRUE(registry_.Create("r", AsynchronousSpec(1), "").ok());
  FakeWorker leaves(&registry_, "r", "leaves");
  FakeWorker lost(&registry_, "r", "lost");
  for (FakeWorker* const worker : {&leaves, &lost}) {
    worker->Join();
    worker->SetBlob("mine");
    worker->Push(1, 0, {1});
    ASSERT_EQ(worker->WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  }
  leaves.Leave();
  lost.Disconnect();
  clock_.Advance(absl::Minutes(10));
  registry_.Tick();
  EXPECT_EQ(BlobOf(&registry_, "leaves").data(), "");
  EXPECT_EQ(BlobOf(&registry_, "lost").data(), "mine");
}

TEST_F(WorkerBlobTest, OneThatIsTooLargeIsRefusedInHeaderAndCommit) {
  ASSERT_TRUE(registry_.Create("r", AsynchronousSpec(1), "").ok());
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.SetBlob(std::string(WorkerBlobs::kMostBytes + 1, 'x'));
  worker.Push(1, 0, {1});
  EXPECT_EQ(worker.WaitForResult(0).reason(), "BLOB_TOO_LARGE");
  EXPECT_THAT(worker.WaitForResult(0).message(), HasSubstr("65537 bytes, at most 65536 expected"));
  worker.SetBlob(std::string(WorkerBlobs::kMostBytes, 'x'));
  worker.Push(1, 0, {1});
  EXPECT_EQ(worker.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
}

TEST_F(WorkerBlobTest, IsClaimed) {
  Limits limits;
  limits.max_memory_bytes = int64_t{1} << 20;
  RunRegistry small(limits, /*threads=*/1, &clock_);
  ASSERT_TRUE(small.Create("r", AsynchronousSpec(1), "").ok());
  const int64_t before = small.budget().taken_bytes(MemoryUse::kState);
  int kept = 0;
  std::vector<std::unique_ptr<FakeWorker>> workers;
  v1::PushResult last;
  for (int i = 0; i < 20 && last.reason().empty(); ++i) {
    workers.push_back(std::make_unique<FakeWorker>(&small, "r", absl::StrCat("w", i)));
    workers.back()->Join();
    workers.back()->SetBlob(std::string(WorkerBlobs::kMostBytes, 'x'));
    workers.back()->Push(1, i, {1});
    last = workers.back()->WaitForResult(0);
    if (last.reason().empty()) ++kept;
  }
  EXPECT_EQ(last.reason(), "BLOB_NO_ROOM") << kept;
  EXPECT_GT(kept, 4);
  EXPECT_EQ(small.budget().taken_bytes(MemoryUse::kState) - before, kept * WorkerBlobs::kMostBytes);
  ASSERT_TRUE(small.Delete("runs/r").ok());
}

TEST_F(WorkerBlobTest, AllOfARunAreBounded) {
  ASSERT_TRUE(registry_.Create("r", AsynchronousSpec(1), "").ok());
  const std::string largest(WorkerBlobs::kMostBytes, 'x');
  const int64_t most = BlobRoom::kMostBytes / WorkerBlobs::kMostBytes;
  for (int64_t i = 0; i < most; ++i) {
    FakeWorker worker(&registry_, "r", absl::StrCat("w", i));
    worker.Join();
    worker.SetBlob(largest);
    worker.Push(1, i, {1});
    ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED) << i;
  }
  FakeWorker one_more(&registry_, "r", "more");
  one_more.Join();
  one_more.SetBlob("x");
  one_more.Push(1, most, {1});
  EXPECT_EQ(one_more.WaitForResult(0).reason(), "BLOB_NO_ROOM");
  one_more.SetBlob("");
  one_more.Push(1, most, {1});
  EXPECT_EQ(one_more.WaitForResult(1).outcome(), v1::PUSH_OUTCOME_APPLIED);
  FakeWorker known(&registry_, "r", "w0");
  known.Join();
  known.SetBlob(largest);
  known.Push(2, most, {1});
  EXPECT_EQ(known.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED) << "in its own's place";
}

TEST_F(WorkerBlobTest, OutlivesTheServerWithTheRun) {
  const auto run = *registry_.Create("r", AsynchronousSpec(1), "");
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.SetBlob("of push 1");
  worker.Push(1, 0, {1});
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  ASSERT_TRUE(run->BeginTimeline("ada").ok());
  std::promise<RunOrigin> captured;
  run->Capture([&](const auto& capture) {
    RunOrigin origin;
    origin.capture = *capture;
    captured.set_value(origin);
  });
  const RunOrigin origin = captured.get_future().get();
  RunRegistry other(Limits(), /*threads=*/1, &clock_);
  ASSERT_TRUE(other.Create("r", origin.capture->state.spec(), "", &origin).ok());
  const v1::WorkerBlob blob = BlobOf(&other, "w");
  EXPECT_EQ(blob.data(), "of push 1");
  EXPECT_EQ(blob.sequence(), 1);
  EXPECT_EQ(blob.timeline(), 1U) << "it is of the timeline before";
}

TEST(WorkerBlobsTest, RefusesWhatNobodyCanHaveLeft) {
  const auto read = [](int64_t sequence, const std::string& data, int times) {
    state::v1::MembersState state;
    for (int i = 0; i < times; ++i) {
      state::v1::WorkerBlobState& blob = *state.add_blobs();
      blob.set_worker("w");
      blob.set_sequence(sequence);
      blob.set_data(data);
    }
    return WorkerBlobs().Read(state);
  };
  EXPECT_TRUE(read(1, "x", 1).ok());
  EXPECT_THAT(std::string(read(0, "x", 1).message()), HasSubstr("blob of worker \"w\""));
  EXPECT_FALSE(read(1, "", 1).ok());
  EXPECT_FALSE(read(1, "x", 2).ok());
  EXPECT_FALSE(read(1, std::string(WorkerBlobs::kMostBytes + 1, 'x'), 1).ok());
}

}  // namespace
}  // namespace gradd
