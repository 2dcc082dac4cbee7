// The state directory, the folders of runs in it, and what is removed from them in time.

#include "core/durability/state_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/checkpoint_retention.h"
#include "core/durability/log_compaction.h"
#include "tests/core/durability/log_files.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(StateDirectoryTest, IsMadeOnceAndOpenedAgain) {
  FakeFileSystem files;
  {
    const auto directory = StateDirectory::Open(&files, "s");
    ASSERT_TRUE(directory.ok()) << directory.status();
    EXPECT_THAT(*files.List("s"), ElementsAre("deleted", "format", "lock", "runs"));
    EXPECT_THAT(*(*directory)->RunIds(), IsEmpty());
    const auto second = StateDirectory::Open(&files, "s");
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(second.status()), "IN_USE");
    EXPECT_THAT(MessageOf(second.status()), HasSubstr("s/lock"));
    ASSERT_TRUE((*directory)->FolderOf("b")->Create().ok());
    ASSERT_TRUE((*directory)->FolderOf("a")->Create().ok());
    ASSERT_TRUE(files.CreateDirectory("s/runs/no id").ok());
    EXPECT_THAT(*(*directory)->RunIds(), ElementsAre("a", "b"));
  }
  const auto again = StateDirectory::Open(&files, "s");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_THAT(*(*again)->RunIds(), ElementsAre("a", "b"));
}

TEST(StateDirectoryTest, FilesOfSomebodyElseStayAsTheyAre) {
  FakeFileSystem files;
  ASSERT_TRUE(files.CreateDirectory("s").ok());
  files.SetContents("s/thesis.tex", "x");
  const auto opened = StateDirectory::Open(&files, "s");
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(opened.status()), "STATE_DIRECTORY");
  EXPECT_THAT(MessageOf(opened.status()),
              HasSubstr("files of somebody else, such as \"thesis.tex\""));
  EXPECT_THAT(*files.List("s"), ElementsAre("thesis.tex"));
}

TEST(StateDirectoryTest, AnotherFormatIsRefusedByName) {
  for (const std::string format : {"gradd state directory, format 2\n", "", "\xff",
                                   "gradd state directory, format 1\nand more"}) {
    FakeFileSystem files;
    ASSERT_TRUE(StateDirectory::Open(&files, "s").ok());
    files.SetContents("s/format", format);
    const auto opened = StateDirectory::Open(&files, "s");
    EXPECT_EQ(ReasonOf(opened.status()), "STATE_DIRECTORY") << format;
    EXPECT_THAT(MessageOf(opened.status()), HasSubstr("s/format: it says \""));
    EXPECT_EQ(files.Contents("s/format"), format);
    EXPECT_THAT(*files.List("s"), ElementsAre("deleted", "format", "lock", "runs"));
  }
}

TEST(StateDirectoryTest, ADirectoryThatCannotBeWrittenIsNamed) {
  for (const char* const name : {"mkdir", "lock", "create", "write"}) {
    FakeFileSystem files;
    files.SetFault({1, EROFS, /*lasting=*/true, name});
    const auto opened = StateDirectory::Open(&files, "s");
    EXPECT_EQ(ReasonOf(opened.status()), "FILE") << name;
    EXPECT_THAT(MessageOf(opened.status()), HasSubstr("s"));
    EXPECT_THAT(MessageOf(opened.status()), HasSubstr("Read-only file system"));
  }
}

TEST(StateDirectoryTest, ACrashAtAnyCallLeavesOneThatCanBeOpened) {
  for (int64_t call = 1;; ++call) {
    FakeFileSystem files;
    files.HaltAt(call);
    const bool opened = StateDirectory::Open(&files, "s").ok();
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const auto left = files.AfterCrash(seed);
      const auto again = StateDirectory::Open(left.get(), "s");
      ASSERT_TRUE(again.ok()) << "call " << call << ", seed " << seed << ": " << again.status();
    }
    if (!opened) continue;
    // What is made in it is found after a power failure.
    EXPECT_THAT(*files.WithoutPending()->List("s"),
                ElementsAre("deleted", "format", "lock", "runs"));
    return;
  }
}

TEST(RunFolderTest, NamesOfCheckpointsAreReadAsTheyAreWritten) {
  for (const RunFolder::Checkpoint checkpoint :
       {RunFolder::Checkpoint{1, 0}, RunFolder::Checkpoint{~uint64_t{0}, 100},
        RunFolder::Checkpoint{7, int64_t{1} << 53}}) {
    RunFolder::Checkpoint read;
    ASSERT_TRUE(ParseCheckpointName(CheckpointName(checkpoint), &read));
    EXPECT_EQ(read.timeline, checkpoint.timeline);
    EXPECT_EQ(read.step, checkpoint.step);
  }
  EXPECT_EQ(CheckpointName({1, 100}), "checkpoint-1-000000000100.safetensors");
  RunFolder::Checkpoint read;
  for (const char* const name :
       {"", "checkpoint-1-100.safetensors", "checkpoint-1-000000000100.safetensors.tmp",
        "checkpoint-01-000000000100.safetensors", "checkpoint-1--00000000100.safetensors",
        "checkpoint-000000000100.safetensors", "checkpoint-1-000000000100-2.safetensors",
        "checkpoint-1-000000000100"}) {
    EXPECT_FALSE(ParseCheckpointName(name, &read)) << name;
  }
}

TEST(RunFolderTest, ListsWhatIsInItByNumber) {
  FakeFileSystem files;
  const auto directory = *StateDirectory::Open(&files, "s");
  const auto folder = directory->FolderOf("r");
  ASSERT_TRUE(folder->Create().ok());
  for (const char* const name :
       {"log-00000010", "log-00000009", "log-x", "notes.txt", "log-00000011.tmp",
        "checkpoint-2-000000000005.safetensors", "checkpoint-10-000000000001.safetensors",
        "checkpoint-2-000000000004.safetensors", "checkpoint-1-000000000009.safetensors",
        "checkpoint-9-000000000009.safetensors.tmp"}) {
    files.SetContents(absl::StrCat("s/runs/r/", name), "x");
  }
  EXPECT_THAT(*folder->Segments(), ElementsAre(9, 10));
  std::vector<std::string> checkpoints;
  const auto found = *folder->Checkpoints();
  for (const auto& checkpoint : found) {
    checkpoints.push_back(absl::StrCat(checkpoint.timeline, "-", checkpoint.step));
  }
  EXPECT_THAT(checkpoints, ElementsAre("1-9", "2-4", "2-5", "10-1"));
  ASSERT_TRUE(folder->RemoveTemporary().ok());
  EXPECT_EQ(files.List("s/runs/r")->size(), 8U);
}

TEST(RunFolderTest, WhatIsBuriedIsNeverFoundAgain) {
  for (int64_t call = 1;; ++call) {
    FakeFileSystem files;
    const auto directory = *StateDirectory::Open(&files, "s");
    const auto folder = directory->FolderOf("r");
    ASSERT_TRUE(folder->Create().ok());
    ASSERT_TRUE(folder->Publish().ok());
    files.SetContents("s/runs/r/log-00000001", "x");
    files.HaltAt(static_cast<int64_t>(files.calls().size()) + call);
    const bool buried = folder->Bury("uid").ok();
    const bool removed = buried && folder->RemoveBuried("uid").ok();
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const auto left = files.AfterCrash(seed);
      const auto again = StateDirectory::Open(left.get(), "s");
      ASSERT_TRUE(again.ok()) << again.status();
      if (buried) {
        EXPECT_THAT(*(*again)->RunIds(), IsEmpty()) << call << ", " << seed;
      } else if (!(*again)->RunIds()->empty()) {
        EXPECT_EQ(left->Contents("s/runs/r/log-00000001"), "x") << "all of it, or nothing";
      }
      (*again)->RemoveBuried();
      EXPECT_THAT(*left->List("s/deleted"), IsEmpty()) << call << ", " << seed;
    }
    if (removed) break;
  }
  FakeFileSystem files;
  const auto directory = *StateDirectory::Open(&files, "s");
  EXPECT_TRUE(directory->FolderOf("absent")->Bury("uid").ok());
  EXPECT_TRUE(directory->FolderOf("absent")->RemoveBuried("uid").ok());
}

struct Retention {
  const char* name;
  int32_t keep_last;
  int64_t keep_every_steps;
  bool keep_best;
  // Timeline, step, loss of the evaluation; below 0: none.
  std::vector<std::tuple<int, int, double>> checkpoints;
  std::vector<std::string> removed;  // TIMELINE-STEP
};

class RetentionTest : public testing::TestWithParam<Retention> {};

TEST_P(RetentionTest, OnlyWhatNoRuleKeepsGoes) {
  v1::Checkpoints spec;
  spec.set_keep_last(GetParam().keep_last);
  spec.set_keep_every_steps(GetParam().keep_every_steps);
  spec.set_keep_best(GetParam().keep_best);
  std::vector<KeptCheckpoint> checkpoints;
  for (const auto& [timeline, step, loss] : GetParam().checkpoints) {
    KeptCheckpoint& checkpoint = checkpoints.emplace_back();
    checkpoint.name.timeline = static_cast<uint64_t>(timeline);
    checkpoint.name.step = step;
    if (loss >= 0) checkpoint.evaluation_loss = loss;
  }
  std::vector<std::string> removed;
  for (const KeptCheckpoint& checkpoint : CheckpointsToRemove(checkpoints, spec)) {
    removed.push_back(absl::StrCat(checkpoint.name.timeline, "-", checkpoint.name.step));
  }
  EXPECT_EQ(removed, GetParam().removed);
}

INSTANTIATE_TEST_SUITE_P(
    Table, RetentionTest,
    testing::Values(
        Retention{"None", 0, 0, false, {}, {}},
        Retention{"Few", 0, 0, false, {{1, 1, -1}, {1, 2, -1}, {1, 3, -1}}, {}},
        Retention{"ThreeByDefault",
                  0,
                  0,
                  false,
                  {{1, 1, -1}, {1, 2, -1}, {1, 3, -1}, {1, 4, -1}, {1, 5, -1}},
                  {"1-1", "1-2"}},
        Retention{"TheLastAlways", 1, 0, true, {{1, 1, 0.5}, {1, 2, 2}}, {}},
        Retention{"OneAndTheBest",
                  1,
                  0,
                  true,
                  {{1, 1, 3}, {1, 2, 1}, {1, 3, 1}, {1, 4, 2}, {1, 5, -1}},
                  {"1-1", "1-3", "1-4"}},
        Retention{"TheBestOnlyWhereAsked", 1, 0, false, {{1, 1, 0}, {1, 2, 1}}, {"1-1"}},
        Retention{"TheFirstOfEachHundred",
                  1,
                  100,
                  false,
                  {{1, 90, -1},
                   {1, 99, -1},
                   {1, 100, -1},
                   {1, 199, -1},
                   {1, 250, -1},
                   {1, 260, -1},
                   {1, 270, -1}},
                  {"1-99", "1-199", "1-260"}},
        Retention{"OfEachTimeline",
                  1,
                  100,
                  false,
                  {{1, 110, -1}, {1, 120, -1}, {2, 115, -1}, {2, 130, -1}, {3, 131, -1}},
                  {"1-120", "2-130"}},
        // Made later, though of fewer steps: the newest is the last one that was made.
        Retention{"ByTimeNotByStep", 1, 0, false, {{1, 500, -1}, {2, 400, -1}}, {"1-500"}}),
    [](const auto& row) { return row.param.name; });

// A log of three segments, of which the middle one has control events and others.
class CompactionTest : public testing::Test {
 protected:
  CompactionTest() {
    const auto directory = *StateDirectory::Open(&files_, "s");
    EXPECT_TRUE(folder_.Create().ok());
    Write(1, {1, 2, 3}, /*closed=*/true);
    Write(2, {4, 5, 6, 7}, /*closed=*/true);
    Write(3, {8, 9}, /*closed=*/false);
  }
  // Even ones are control events.
  void Write(int64_t number, const std::vector<int64_t>& events, bool closed) {
    const auto segment = *LogSegment::Create(&files_, folder_.path(), HeaderOf(number, events[0]));
    for (const int64_t event : events) {
      state::v1::LoggedEvent logged;
      *logged.mutable_event() = event % 2 == 0 ? Paused(event) : Stepped(event);
      const std::string data = event % 2 == 0 ? "" : "data";
      ASSERT_TRUE(segment->Add(RecordKind::kEvent, logged.SerializeAsString(), {data}).ok());
    }
    state::v1::LogEnd end;
    end.set_last_event(events.back());
    if (closed) {
      ASSERT_TRUE(segment->Add(RecordKind::kEnd, end.SerializeAsString(), {}).ok());
    }
    ASSERT_TRUE(segment->Sync().ok());
  }

  FakeFileSystem files_;
  RunFolder folder_{&files_, "s", kLoggedRun};
};

TEST_F(CompactionTest, NothingGoesThatACheckpointNeeds) {
  ASSERT_TRUE(CompactLog(folder_, 2, 2).ok());
  EXPECT_THAT(NumbersIn(folder_), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST_F(CompactionTest, WhatTheOldestHasGoesAndOfWhatTheNewestHasControlEventsStay) {
  ASSERT_TRUE(CompactLog(folder_, 3, 7).ok());
  EXPECT_THAT(*folder_.Segments(), ElementsAre(2, 3));
  EXPECT_THAT(NumbersIn(folder_), ElementsAre(4, 6, 8, 9));
  const ReadSegment compacted = ReadAll(&files_, folder_.SegmentPath(2));
  EXPECT_TRUE(compacted.header.compacted());
  EXPECT_EQ(compacted.header.first_event(), 4);
  EXPECT_EQ(compacted.end, "last_event: 7");
  const auto calls = files_.calls();
  ASSERT_TRUE(CompactLog(folder_, 3, 7).ok());
  for (size_t i = calls.size(); i < files_.calls().size(); ++i) {
    EXPECT_THAT(files_.calls()[i], testing::Not(HasSubstr("write"))) << "once is enough";
  }
}

TEST_F(CompactionTest, TheSegmentThatIsBeingWrittenStays) {
  ASSERT_TRUE(CompactLog(folder_, 100, 100).ok());
  EXPECT_THAT(NumbersIn(folder_), ElementsAre(8, 9));
}

TEST_F(CompactionTest, ACrashAtAnyCallLosesNoControlEventAndNothingThatIsNeeded) {
  const auto before = static_cast<int64_t>(files_.calls().size());
  ASSERT_TRUE(files_.SyncDirectory(folder_.path()).ok());
  ASSERT_TRUE(folder_.Publish().ok());
  for (int64_t call = 1;; ++call) {
    const auto files = files_.WithPending();
    const RunFolder folder(files.get(), "s", kLoggedRun);
    files->HaltAt(call);
    const bool done = CompactLog(folder, 3, 7).ok();
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const auto left = files->AfterCrash(seed);
      const RunFolder there(left.get(), "s", kLoggedRun);
      ASSERT_TRUE(there.RemoveTemporary().ok());
      const std::vector<int64_t> numbers = NumbersIn(there);
      for (const int64_t needed : {4, 6, 8, 9}) {
        ASSERT_THAT(numbers, testing::Contains(needed)) << call << ", " << seed;
      }
    }
    if (done) break;
  }
  EXPECT_GT(before, 0);
}

}  // namespace
}  // namespace gradd
