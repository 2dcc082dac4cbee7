#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/durability/checkpoint_format.h"
#include "core/durability/checkpoint_reader.h"
#include "core/durability/checkpoint_writer.h"
#include "core/durability/safetensors_reader.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/core/durability/checkpoint_files.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Three parameters, two slots, and a push in the window.
v1::Run SmallSpec() {
  v1::Run spec = AsynchronousSpec(3);
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_optimizer()->set_accumulation_steps(2);
  return spec;
}

std::shared_ptr<const RunCapture> CaptureOf(Run* run) {
  std::promise<absl::StatusOr<std::shared_ptr<const RunCapture>>> promise;
  run->Capture([&](const auto& capture) { promise.set_value(capture); });
  auto capture = promise.get_future().get();
  // The task that made it lets go of it a moment later; tests want it for themselves.
  while (capture->use_count() > 1) std::this_thread::yield();
  return *std::move(capture);
}

class CheckpointTest : public testing::Test {
 protected:
  std::shared_ptr<gradd::Run> Create(const v1::Run& spec) {
    return *registry_.Create("r", spec, "");
  }

  // A run of SmallSpec() with one step and something in the window.
  std::shared_ptr<const RunCapture> SmallCapture() {
    const auto run = Create(SmallSpec());
    FakeWorker worker(&registry_, "r", "w");
    worker.Join();
    for (int64_t sequence = 1; sequence <= 3; ++sequence) {
      worker.Push(sequence, (sequence - 1) / 2, {1, 2, 3});
      worker.WaitForResult(static_cast<size_t>(sequence) - 1);
    }
    return CaptureOf(run.get());
  }
  // The file of one.
  std::string SmallFile() {
    FakeFileSystem files;
    EXPECT_TRUE(WriteCheckpoint(&files, "c", SmallCapture()).ok());
    return files.Contents("c");
  }

  FakeClock clock_;
  RunRegistry registry_{Limits(), /*threads=*/2, &clock_};
  RunRegistry other_{Limits(), /*threads=*/2, &clock_};
};

TEST_F(CheckpointTest, IsASafetensorsFileWithEverythingUnderItsName) {
  FakeFileSystem files;
  files.SetContents("c", SmallFile());
  const auto reader = *SafetensorsReader::Open(&files, "c");
  std::vector<std::string> names;
  for (const SafetensorsTensor& tensor : reader->tensors()) names.push_back(tensor.name);
  EXPECT_THAT(names, ElementsAre("optimizer/plan/groups/0/first_step", "optimizer/plan/next_step",
                                 "w", "optimizer/first_moment/w", "optimizer/second_moment/w",
                                 "window/w", "optimizer/checksum"));
  std::vector<float> window(3);
  ASSERT_TRUE(reader->ReadFloats(*reader->Find("window/w"), 0, 3, window.data()).ok());
  EXPECT_THAT(window, ElementsAre(1, 2, 3));
  const auto info = ReadCheckpointInfo(&files, "c");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->run_id, "r");
  EXPECT_EQ(info->run_uid.size(), 32U);
  EXPECT_EQ(info->timeline, 1U);
  EXPECT_EQ(info->step, 1);
  EXPECT_EQ(info->time, absl::FromUnixSeconds(1'700'000'000));
  EXPECT_EQ(info->bytes, static_cast<int64_t>(files.Contents("c").size()));
}

TEST_F(CheckpointTest, NoPrefixAndNoFlippedByteIsTakenForOne) {
  const std::string file = SmallFile();
  FakeFileSystem files;
  const auto expect_refused = [&](const std::string& changed, const std::string& what) {
    files.SetContents("state/c", changed);
    const auto verified = VerifyCheckpoint(&files, "state/c");
    ASSERT_EQ(ReasonOf(verified.status()), "FILE_INVALID") << what;
    EXPECT_THAT(std::string(verified.status().message()), HasSubstr("state/c: "));
    const auto read = ReadCheckpoint(&files, "state/c", other_.environment());
    ASSERT_EQ(ReasonOf(read.status()), "FILE_INVALID") << what;
  };
  for (size_t size = 0; size < file.size(); ++size) {
    expect_refused(file.substr(0, size), absl::StrCat("a prefix of ", size));
  }
  expect_refused(file + "x", "a byte more");
  for (size_t at = 0; at < file.size(); ++at) {
    for (const int bits : {1 << (at % 8), 255}) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ bits);
      expect_refused(changed, absl::StrCat("byte ", at, " xor ", bits));
    }
  }
  EXPECT_EQ(other_.budget().taken_bytes(), 0) << "what was refused keeps nothing";
  files.SetContents("state/c", file);
  EXPECT_TRUE(VerifyCheckpoint(&files, "state/c").ok());
}

// The metadata says what it said, or that it does not.
TEST_F(CheckpointTest, WhatItIsOfIsNotMisread) {
  const std::string file = SmallFile();
  FakeFileSystem files;
  files.SetContents("c", file);
  const CheckpointInfo expected = *ReadCheckpointInfo(&files, "c");
  for (size_t at = 0; at < file.size(); ++at) {
    std::string changed = file;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    files.SetContents("c", changed);
    const auto info = ReadCheckpointInfo(&files, "c");
    if (!info.ok()) continue;
    EXPECT_EQ(info->run_uid, expected.run_uid);
    EXPECT_EQ(info->step, expected.step);
    EXPECT_EQ(info->time, expected.time);
  }
}

// Files that somebody made with care: all checksums are right.
TEST_F(CheckpointTest, WhatDoesNotFitTogetherIsRefusedByName) {
  using Header = SafetensorsHeader;
  using Data = std::map<std::string, std::string>;
  const auto find = [](Header* header, const std::string& name) {
    return std::find_if(header->tensors.begin(), header->tensors.end(),
                        [&name](const auto& tensor) { return tensor.name == name; });
  };
  const auto rename = [&](const std::string& from, const std::string& to) {
    return [=](Header* header, Data* data) {
      find(header, from)->name = to;
      (*data)[to] = (*data)[from];
    };
  };
  const auto say = [](const std::string& key, const std::string& value) {
    return [=](Header* header, Data* /*data*/) { header->metadata[key] = value; };
  };
  struct Case {
    std::string message;
    std::function<void(Header*, Data*)> change;
  };
  const std::vector<Case> cases = {
      {"\"format\" is \"pt\", \"gradd\" expected: it is no checkpoint", say("format", "pt")},
      {"\"step\" is \"-1\", a whole number from 0", say("step", "-1")},
      {"\"step\" is \"01\", a whole number", say("step", "01")},
      {"\"timeline\" is \"0\", a whole number from 1", say("timeline", "0")},
      {"\"time\" is \"now\", a time expected", say("time", "now")},
      {"its state is of step 1, its metadata of 2", say("step", "2")},
      {"its state is of run runs/r, its metadata of runs/q", say("run", "q")},
      {"its state is of timeline 1, its metadata of 3", say("timeline", "3")},
      {"run_id: \"../r\" is not 1 to 63 characters", say("run", "../r")},
      {"\"layout\" is no gradd.v1.Layout in base64", say("layout", "!")},
      {"\"state\" is no gradd.state.v1.RunState in base64", say("state", "AAAA")},
      {"layout.tensors: empty", say("layout", "")},
      {"\"format\" is missing", [](Header* header, Data* /*data*/) { header->metadata.clear(); }},
      {"tensor \"w\": missing, F32 [3] expected", rename("w", "v")},
      {"tensor \"optimizer/first_moment/w\": missing", rename("optimizer/first_moment/w", "x")},
      {"tensor \"window/w\": missing", rename("window/w", "window/v")},
      {"tensor \"optimizer/checksum\": missing, U8 [16] expected",
       rename("optimizer/checksum", "optimizer/sum")},
      {"tensor \"w\" is F32 [3, 1], F32 [3] expected",
       [&](Header* header, Data* /*data*/) {
         find(header, "w")->shape = {3, 1};
       }},
      {"tensor \"w\" is I32 [3], F32 [3] expected",
       [&](Header* header, Data* /*data*/) {
         find(header, "w")->type = FindSafetensorsType("I32");
       }},
      {"tensor \"optimizer/plan/next_step\" is U64 [1], I64, F64 or F32 [...] expected",
       [&](Header* header, Data* /*data*/) {
         find(header, "optimizer/plan/next_step")->type = FindSafetensorsType("U64");
       }},
      {"tensor \"optimizer/third_moment/w\": not expected of a run in that state",
       [&](Header* header, Data* data) {
         SafetensorsTensor more = *find(header, "w");
         more.name = "optimizer/third_moment/w";
         header->tensors.insert(header->tensors.begin(), more);
         (*data)[more.name] = (*data)["w"];
       }},
      {"optimizer/checksum is not the last tensor",
       [&](Header* header, Data* data) {
         SafetensorsTensor more = *find(header, "optimizer/plan/next_step");
         more.name = "optimizer/plan/more";
         header->tensors.push_back(more);
         (*data)[more.name] = (*data)["optimizer/plan/next_step"];
       }},
  };
  const std::string file = SmallFile();
  FakeFileSystem files;
  // One that is no damage, and so not passed over.
  files.SetContents("c", Rewritten(file, say("format_version", "2")));
  const absl::Status other = VerifyCheckpoint(&files, "c").status();
  EXPECT_EQ(ReasonOf(other), "FILE_VERSION");
  EXPECT_EQ(other.message(),
            "c: format_version: \"2\", \"1\" expected: another version of gradd wrote it");
  files.SetContents("c", Rewritten(file, [](Header* /*header*/, Data* /*data*/) {}));
  ASSERT_TRUE(VerifyCheckpoint(&files, "c").ok()) << "as it was";
  for (const Case& each : cases) {
    files.SetContents("c", Rewritten(file, each.change));
    for (const absl::Status& refused :
         {VerifyCheckpoint(&files, "c").status(),
          ReadCheckpoint(&files, "c", other_.environment()).status()}) {
      EXPECT_EQ(ReasonOf(refused), "FILE_INVALID") << each.message << ": " << refused;
      EXPECT_THAT(std::string(refused.message()), HasSubstr(each.message));
      EXPECT_THAT(std::string(refused.message()), HasSubstr("c: "));
    }
  }
  EXPECT_EQ(other_.budget().taken_bytes(), 0) << "what was refused keeps nothing";
}

TEST_F(CheckpointTest, AnotherRunsFileIsRefused) {
  FakeFileSystem files;
  files.SetContents("c", SmallFile());
  const auto read = ReadCheckpoint(&files, "c", other_.environment(), std::string(32, '0'));
  EXPECT_EQ(ReasonOf(read.status()), "FILE_INVALID");
  EXPECT_THAT(std::string(read.status().message()), HasSubstr("it is of the run with uid"));
}

TEST_F(CheckpointTest, APlanThatDoesNotFitIsRefusedByTheRunAndKeepsNothing) {
  FakeFileSystem files;
  files.SetContents("c", Rewritten(SmallFile(), [](SafetensorsHeader* header, auto* data) {
                      header->tensors[0].shape = {2};
                      (*data)[header->tensors[0].name] += "12345678";
                    }));
  RunOrigin origin;
  origin.capture = *ReadCheckpoint(&files, "c", other_.environment());
  const auto run = other_.Create("r", origin.capture->state.spec(), "", &origin);
  EXPECT_THAT(std::string(run.status().message()), HasSubstr("groups/0/first_step: 2 values"));
  origin.capture.reset();
  EXPECT_EQ(other_.budget().taken_bytes(), 0);
}

TEST_F(CheckpointTest, WhateverFailsTheFileIsTheOldOneOrTheNewOne) {
  const auto capture = SmallCapture();
  FakeFileSystem none;
  ASSERT_TRUE(WriteCheckpoint(&none, "d/c", capture, 500).code() == absl::StatusCode::kNotFound);
  const auto prepare = [](FakeFileSystem* files) {
    ASSERT_TRUE(files->CreateDirectory("d").ok());
    ASSERT_TRUE(files->SyncDirectory("").ok());
    files->SetContents("d/c", "old");
  };
  FakeFileSystem whole;
  prepare(&whole);
  const auto before = static_cast<int64_t>(whole.calls().size());
  ASSERT_TRUE(WriteCheckpoint(&whole, "d/c", capture, 500).ok());
  const std::string complete = whole.Contents("d/c");
  const std::vector<std::string> calls = whole.calls();
  EXPECT_EQ(calls.back(), "syncdir d");
  EXPECT_GT(std::count(calls.begin(), calls.end(), "sync d/c.tmp"), 1);
  for (int64_t call = before + 1; call <= static_cast<int64_t>(calls.size()); ++call) {
    const std::string& name = calls[static_cast<size_t>(call) - 1];
    SCOPED_TRACE(absl::StrCat("call ", call, ": ", name));
    for (const int error : {EIO, ENOSPC}) {
      FakeFileSystem files;
      prepare(&files);
      files.SetFault({call, error});
      const absl::Status failed = WriteCheckpoint(&files, "d/c", capture, 500);
      EXPECT_FALSE(failed.ok());
      EXPECT_EQ(IsDiskFull(failed), error == ENOSPC);
      EXPECT_THAT(std::string(failed.message()), HasSubstr("d"));
      EXPECT_THAT(*files.List("d"), ElementsAre("c")) << "nothing else is left";
      EXPECT_TRUE(files.Contents("d/c") == (name == "syncdir d" ? complete : "old"));
    }
    FakeFileSystem files;
    prepare(&files);
    files.HaltAt(call);
    EXPECT_FALSE(WriteCheckpoint(&files, "d/c", capture, 500).ok());
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const auto left = files.AfterCrash(seed);
      const std::string found = left->Contents("d/c");
      EXPECT_TRUE(found == "old" || found == complete) << seed;
      // And the next one is written all the same.
      ASSERT_TRUE(WriteCheckpoint(left.get(), "d/c", capture, 500).ok()) << seed;
      EXPECT_THAT(*left->List("d"), ElementsAre("c"));
      EXPECT_TRUE(left->WithoutPending()->Contents("d/c") == complete) << seed;
    }
  }
}

TEST_F(CheckpointTest, AfterAnErrorTheWriterSaysSoAgainAndHoldsNothing) {
  FakeFileSystem files;
  files.SetRoom(1000);
  auto capture = SmallCapture();
  std::weak_ptr<const RunCapture> watched = capture;
  auto writer = *CheckpointWriter::Begin(&files, "c", std::move(capture), {});
  const absl::Status full = writer->WriteSome(writer->bytes()).status();
  files.SetRoom(1'000'000);
  const absl::Status again = writer->WriteSome(1).status();
  EXPECT_TRUE(IsDiskFull(full)) << full;
  EXPECT_EQ(again, full);
  EXPECT_TRUE(watched.expired());
}

TEST_F(CheckpointTest, BlocksAreLetGoAsTheyAreWritten) {
  v1::Run spec = AsynchronousSpec(20 * kTileElements - 5);
  spec.mutable_optimizer()->mutable_adam();
  RunRegistry registry(Limits(), /*threads=*/1, &clock_, kTileElements);
  FakeFileSystem files;
  ASSERT_TRUE(WriteCheckpoint(&files, "c", CaptureOf(registry.Create("r", spec, "")->get())).ok());
  // Nobody but this capture has these blocks.
  auto capture = *ReadCheckpoint(&files, "c", registry.environment());
  BlockVector held = capture->vectors.snapshot->parameters;
  for (const SnapshotSlot& slot : capture->vectors.snapshot->slots) {
    held.insert(held.end(), slot.blocks.begin(), slot.blocks.end());
  }
  ASSERT_EQ(held.size(), 60U);
  auto writer = *CheckpointWriter::Begin(&files, "d", std::move(capture), {});
  for (bool done = false; !done;) {
    done = *writer->WriteSome(10'000);
    const auto free = std::count_if(held.begin(), held.end(),
                                    [](const BlockRef& block) { return block.unique(); });
    const int64_t most_held = writer->bytes_left() / (kTileElements * int64_t{sizeof(float)}) + 2;
    EXPECT_GE(free, 60 - most_held);
  }
  EXPECT_EQ(writer->bytes_left(), 0);
  // Each with the data that it had, and at another time.
  const auto data_of = [&](const std::string& path) {
    const auto reader = *SafetensorsReader::Open(&files, path);
    const std::string file = files.Contents(path);
    return file.substr(static_cast<size_t>(reader->data_begin()),
                       static_cast<size_t>(reader->tensors().back().begin));
  };
  EXPECT_TRUE(data_of("c") == data_of("d"));
}

// The model is there once: the run has the memory that the file was read into.
TEST_F(CheckpointTest, ARunTakesOverTheMemoryThatItsFileWasReadInto) {
  constexpr int64_t kElements = 50 * kTileElements;
  v1::Run spec = AsynchronousSpec(kElements);
  spec.mutable_optimizer()->mutable_adam();
  Limits limits;
  // For three vectors as they are, and a push; not for a fourth and a fifth.
  limits.max_memory_bytes = kElements * int64_t{sizeof(float)} * 9 / 2;
  limits.max_staged_bytes = kElements * int64_t{sizeof(float)};
  RunRegistry registry(limits, /*threads=*/1, &clock_, kTileElements);
  FakeFileSystem files;
  {
    const auto run = *registry.Create("r", spec, "");
    ASSERT_TRUE(WriteCheckpoint(&files, "c", CaptureOf(run.get())).ok());
    ASSERT_TRUE(registry.Delete("runs/r").ok());
  }
  EXPECT_EQ(registry.budget().taken_bytes(), 0);
  RunOrigin origin;
  auto read = ReadCheckpoint(&files, "c", registry.environment());
  ASSERT_TRUE(read.ok()) << read.status();
  origin.capture = *std::move(read);
  const int64_t state = registry.budget().taken_bytes(MemoryUse::kState);
  EXPECT_EQ(state, 3 * kElements * int64_t{sizeof(float)});
  const auto second = ReadCheckpoint(&files, "c", registry.environment());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kResourceExhausted) << second.status();
  EXPECT_EQ(registry.budget().taken_bytes(MemoryUse::kState), state);

  const auto run = registry.Create("r", spec, "", &origin);
  ASSERT_TRUE(run.ok()) << run.status();
  origin.capture.reset();
  EXPECT_EQ(registry.budget().taken_bytes(MemoryUse::kState), state);
  EXPECT_EQ(registry.budget().taken_bytes(MemoryUse::kVersions), 0);
  const int64_t allocations = (*run)->ReadMetrics().block_allocations;
  FakeWorker worker(&registry, "r", "w");
  worker.Join();
  worker.Push(1, 0, std::vector<float>(kElements, 1));
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ((*run)->ReadMetrics().block_allocations, allocations) << "it wrote in place";
  EXPECT_EQ(registry.budget().taken_bytes(MemoryUse::kState), state);
}

TEST_F(CheckpointTest, TwoRunsFromOneFileHaveMemoryOfTheirOwn) {
  FakeFileSystem files;
  files.SetContents("c", SmallFile());
  RunOrigin origin;
  origin.capture = *ReadCheckpoint(&files, "c", other_.environment());
  const auto first = *other_.Create("r", origin.capture->state.spec(), "", &origin);
  const int64_t one = other_.budget().taken_bytes(MemoryUse::kState);
  const auto second = *other_.Create("q", origin.capture->state.spec(), "", &origin);
  EXPECT_EQ(other_.budget().taken_bytes(MemoryUse::kState), 2 * one);
  origin.capture.reset();
  FakeWorker worker(&other_, "r", "w");
  worker.Join();
  worker.Push(4, 1, {1, 2, 3});
  ASSERT_EQ(worker.WaitForResult(0).outcome(), v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(first->Progress().step(), 2);
  EXPECT_EQ(second->Progress().step(), 1);
}

TEST_F(CheckpointTest, BatchesOfADataSetAreNotUsedTwice) {
  v1::Run spec = AsynchronousSpec(1);
  spec.mutable_data()->set_examples(9);
  spec.mutable_data()->set_batch_size(2);
  spec.mutable_data()->set_epochs(1);
  const auto run = Create(spec);
  FakeWorker worker(&registry_, "r", "w");
  worker.Join();
  worker.LeaseBatches(3);
  const auto capture = CaptureOf(run.get());
  ASSERT_TRUE(capture->state.has_data());
  const RunOrigin origin = ThroughAFile(capture, other_.environment());
  EXPECT_EQ(origin.capture->state.ShortDebugString(), capture->state.ShortDebugString());
  const auto restored = other_.Create("r", origin.capture->state.spec(), "", &origin);
  ASSERT_TRUE(restored.ok()) << restored.status();
  state::v1::RunState state;
  (*restored)->WriteState(&state);
  EXPECT_EQ(state.data().ShortDebugString(), capture->state.data().ShortDebugString());
}

// Whoever stops in the middle leaves nothing behind.
TEST_F(CheckpointTest, AnUnfinishedFileIsRemoved) {
  FakeFileSystem files;
  files.SetContents("c.tmp", "left by a process that was killed");
  auto writer = *CheckpointWriter::Begin(&files, "c", SmallCapture(), {});
  EXPECT_FALSE(*writer->WriteSome(100));
  EXPECT_EQ(files.Contents("c.tmp").size(), 100U);
  EXPECT_EQ(writer->bytes_left(), writer->bytes() - 100);
  writer.reset();
  EXPECT_THAT(*files.List("/"), ElementsAre());
}

}  // namespace
}  // namespace gradd
