// What a DurableLog says is durable is what is found after a power failure at that moment.

#include "core/durability/durable_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "tests/core/durability/log_files.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/virtual_executor.h"

namespace gradd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kMuchRoom = int64_t{1} << 30;
constexpr uint64_t kSeeds = 6;

std::unique_ptr<FakeFileSystem> NewDirectory() {
  auto files = std::make_unique<FakeFileSystem>();
  for (const char* const path : {"s", "s/runs", "s/deleted"}) {
    EXPECT_TRUE(files->CreateDirectory(path).ok());
  }
  for (const char* const path : {"", "s"}) EXPECT_TRUE(files->SyncDirectory(path).ok());
  return files;
}

RunFolder FolderIn(FileSystem* files) { return RunFolder(files, "s", kLoggedRun); }

// A log, the tasks of which run when a test says so.
class Logged {
 public:
  explicit Logged(FakeFileSystem* files, bool journal = true)
      : files_(*files),
        journal_(journal),
        log_(std::make_shared<DurableLog>(std::make_shared<RunFolder>(files, "s", kLoggedRun),
                                          executor_.Share())) {
    log_->SetListener([this] {
      if (moved_) moved_();
    });
    log_->Start();
  }

  // The next event: the first one is that it was created.
  void Append(bool control = false) {
    const int64_t number = ++last_;
    const state::v1::Event event = number == 1       ? Created(journal_)
                                   : control         ? Paused(number)
                                   : number % 2 == 0 ? Stepped(number)
                                                     : Evaluated(number);
    Append(event);
  }
  void Append(const state::v1::Event& event) {
    last_ = event.number();
    std::vector<std::shared_ptr<const StagedPush>> pushes;
    if (event.has_step()) pushes.push_back(PushOf(event.number(), 40));
    log_->Append(event, pushes);
    if (journal_ || event.has_created() || event.has_state() || event.has_deleted()) {
      logged_.push_back(TextOf(event, pushes));
    }
  }
  // Deletes the run.
  void Delete() { Append(Deleted(last_ + 1)); }
  void Run() { executor_.RunAll(); }
  void SetMoved(std::function<void()> moved) { moved_ = std::move(moved); }

  DurableLog* operator->() { return log_.get(); }
  int64_t last() const { return last_; }
  // What is in the log when all of it is written.
  const std::vector<std::string>& logged() const { return logged_; }
  FakeFileSystem& files() { return files_; }

 private:
  FakeFileSystem& files_;
  const bool journal_;
  VirtualExecutor executor_{1};
  const std::shared_ptr<DurableLog> log_;
  std::function<void()> moved_;
  int64_t last_ = 0;
  std::vector<std::string> logged_;
};

// What is in all segments: see TextOf().
std::vector<std::string> EventsIn(FileSystem* files) {
  const RunFolder folder = FolderIn(files);
  std::vector<std::string> events;
  const auto segments = folder.Segments();
  if (segments.status().code() == absl::StatusCode::kNotFound) return events;
  EXPECT_TRUE(segments.ok()) << segments.status();
  for (const int64_t segment : *segments) {
    const ReadSegment read = ReadAll(files, folder.SegmentPath(segment));
    EXPECT_TRUE(read.status.ok()) << read.status;
    events.insert(events.end(), read.events.begin(), read.events.end());
  }
  return events;
}

// Whether the log has been told to hold all events up to `told`, and holds them; and no others than
// were appended, in their order.
void ExpectHolds(FileSystem* left, const std::vector<std::string>& logged, int64_t told) {
  const std::vector<std::string> found = EventsIn(left);
  ASSERT_LE(found.size(), logged.size());
  for (size_t i = 0; i < found.size(); ++i) ASSERT_TRUE(found[i] == logged[i]) << "event " << i + 1;
  ASSERT_GE(static_cast<int64_t>(found.size()), told);
}

void ExpectHoldsAfterAnyCrash(Logged* log, const std::string& what) {
  const int64_t told = (*log)->durable();
  SCOPED_TRACE(absl::StrCat(what, ", told of ", told));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds(log->files().WithoutPending().get(), log->logged(), told));
  ASSERT_NO_FATAL_FAILURE(ExpectHolds(log->files().WithPending().get(), log->logged(), told));
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    ASSERT_NO_FATAL_FAILURE(ExpectHolds(log->files().AfterCrash(seed).get(), log->logged(), told));
  }
}

// Twelve events in several batches, and two segments begun on the way.
void Play(Logged* log) {
  log->Append();
  log->Run();
  for (int i = 0; i < 3; ++i) log->Append();
  log->Run();
  (*log)->BeginSegment();
  log->Append();
  log->Run();
  for (int i = 0; i < 2; ++i) log->Append();
  (*log)->BeginSegment();
  for (int i = 0; i < 4; ++i) log->Append(/*control=*/i == 1);
  log->Run();
  log->Append();
  log->Run();
}

TEST(DurableLogTest, WhatWasToldIsThereAfterAPowerFailureAtAnyCall) {
  for (int64_t call = 1;; ++call) {
    const auto files = NewDirectory();
    const auto before = static_cast<int64_t>(files->calls().size());
    files->HaltAt(before + call);
    Logged log(files.get());
    Play(&log);
    ASSERT_NO_FATAL_FAILURE(ExpectHoldsAfterAnyCrash(&log, absl::StrCat("call ", call)));
    if (static_cast<int64_t>(files->calls().size()) < before + call) {
      EXPECT_EQ(log->durable(), 12);
      EXPECT_TRUE(log->failure().ok());
      EXPECT_GT(call, 20) << "there were calls at all";
      return;
    }
    EXPECT_LT(log->durable(), 12);
  }
}

// At every moment at which anybody could be told, the disk has it: here it is looked at whenever
// the log has moved.
TEST(DurableLogTest, NobodyIsToldBeforeTheDiskHasIt) {
  const auto files = NewDirectory();
  Logged log(files.get());
  int64_t moves = 0;
  log.SetMoved([&] {
    ++moves;
    ASSERT_NO_FATAL_FAILURE(
        ExpectHolds(files->WithoutPending().get(), log.logged(), log->durable()));
  });
  Play(&log);
  EXPECT_GE(moves, 5);
  EXPECT_EQ(log->durable(), 12);
  EXPECT_EQ(log->written(), 12);
}

TEST(DurableLogTest, AnyCallThatFailsEndsTheLogAndTakesNothingBack) {
  for (int64_t call = 1;; ++call) {
    const auto files = NewDirectory();
    const auto before = static_cast<int64_t>(files->calls().size());
    Logged log(files.get());
    files->SetFault({before + call, EIO});
    Play(&log);
    const auto calls = static_cast<int64_t>(files->calls().size()) - before;
    if (calls < call) break;
    ASSERT_NO_FATAL_FAILURE(ExpectHoldsAfterAnyCrash(&log, absl::StrCat("call ", call)));
    EXPECT_EQ(ReasonOf(log->failure()), "FILE") << log->failure();
    EXPECT_FALSE(log->waits_for_room());
    EXPECT_LT(log->durable(), 12);
    EXPECT_EQ(log->written(), EventLog::kAll) << "steps do not wait for a log that is at an end";
    // It stays so: what a failed sync has left is not known.
    const int64_t told = log->durable();
    log->Retry();
    log.Append();
    log.Run();
    EXPECT_EQ(log->durable(), told);
    EXPECT_EQ(static_cast<int64_t>(files->calls().size()) - before, calls)
        << "no call came after it";
    bool closed = false;
    log->Close(/*complete=*/true, [&] { closed = true; });
    log.Run();
    EXPECT_TRUE(closed);
  }
}

TEST(DurableLogTest, ADiskWithoutRoomIsWaitedForAtAnyByte) {
  int64_t all = 0;
  {
    const auto files = NewDirectory();
    Logged log(files.get());
    Play(&log);
    all = files->bytes();
  }
  for (int64_t room = 0; room <= all; room += 5) {
    const auto files = NewDirectory();
    files->SetRoom(room);
    Logged log(files.get());
    Play(&log);
    ASSERT_TRUE(log->failure().ok()) << log->failure();
    ASSERT_EQ(log->waits_for_room(), room < all);
    ASSERT_NO_FATAL_FAILURE(ExpectHoldsAfterAnyCrash(&log, absl::StrCat("room for ", room)));
    // It is full still: nobody who looks meanwhile takes it for anything else.
    files->SetWatcher([&](const std::string& call) {
      ASSERT_EQ(log->waits_for_room(), room < all) << "room for " << room << ", within " << call;
    });
    log->Retry();
    ASSERT_EQ(log->waits_for_room(), room < all);
    log.Run();
    ASSERT_EQ(log->waits_for_room(), room < all);
    files->SetWatcher([](const std::string& /*call*/) {});
    files->SetRoom(kMuchRoom);
    log.Append();
    log->Retry();
    log.Run();
    ASSERT_FALSE(log->waits_for_room());
    ASSERT_EQ(log->durable(), 13) << room;
    ASSERT_TRUE(EventsIn(files->WithoutPending().get()) == log.logged()) << room;
  }
}

// Of what was written before the disk was full, nothing may be told where its sync fails.
TEST(DurableLogTest, ASyncThatFailsWhileTheDiskIsFullIsAFailure) {
  int64_t failed = 0;
  for (int64_t room = 0; room <= 4000; room += 40) {
    for (const int error : {EIO, ENOSPC}) {
      for (const char* const name : {"sync", "rename", "syncdir"}) {
        for (int64_t call = 1; call <= 3; ++call) {
          const auto files = NewDirectory();
          files->SetRoom(room);
          files->SetFault({call, error, /*lasting=*/false, name});
          Logged log(files.get());
          Play(&log);
          ASSERT_NO_FATAL_FAILURE(ExpectHoldsAfterAnyCrash(
              &log, absl::StrCat("room for ", room, ", ", name, " ", call, " fails with ", error)));
          failed += log->failure().ok() ? 0 : 1;
          files->SetRoom(kMuchRoom);
          log->Retry();
          log.Run();
          ASSERT_NO_FATAL_FAILURE(ExpectHoldsAfterAnyCrash(&log, "with room"));
          EXPECT_TRUE(log->durable() == 12 || !log->failure().ok());
        }
      }
    }
  }
  EXPECT_GT(failed, 100);
}

TEST(DurableLogTest, WhatComesWhileItWritesIsWrittenWithOneSync) {
  const auto files = NewDirectory();
  Logged log(files.get());
  log.Append();
  log.Run();
  const auto syncs = [&] {
    const auto calls = files->calls();
    return std::count_if(calls.begin(), calls.end(),
                         [](const std::string& call) { return absl::StartsWith(call, "sync "); });
  };
  const auto before = syncs();
  log.Append();
  // These come while the first one is on its way.
  int64_t more = 20;
  log.SetMoved([&] {
    for (; more > 0; --more) log.Append();
  });
  log.Run();
  EXPECT_EQ(log->durable(), 22);
  EXPECT_EQ(syncs() - before, 2);
}

// Steps go on while the log is written: whatever comes then, nothing waits for it in the end.
TEST(DurableLogTest, WhatComesDuringAnyCallIsToldInTheEnd) {
  for (const bool journal : {true, false}) {
    for (int64_t call = 1;; ++call) {
      const auto files = NewDirectory();
      Logged log(files.get(), journal);
      log.Append();
      log.Run();
      int64_t seen = 0;
      files->SetWatcher([&](const std::string& /*call*/) {
        if (++seen == call) log.Append();
      });
      log.Append(/*control=*/true);
      log->BeginSegment();
      log.Run();
      log->BeginSegment();
      log.Append(/*control=*/true);
      log->BeginSegment();
      log.Run();
      const bool all = seen < call;
      files->SetWatcher(nullptr);
      EXPECT_EQ(log->durable(), log.last()) << "journal " << journal << ", call " << call;
      EXPECT_EQ(log->written(), log.last()) << "journal " << journal << ", call " << call;
      EXPECT_TRUE(EventsIn(files->WithoutPending().get()) == log.logged());
      if (!all) continue;
      EXPECT_GT(call, 8);
      break;
    }
  }
}

TEST(DurableLogTest, WithoutAJournalOnlyControlEventsAreWrittenAndWaitedFor) {
  const auto files = NewDirectory();
  Logged log(files.get(), /*journal=*/false);
  log.Append();
  log.Append();
  EXPECT_EQ(log->durable(), 0) << "nothing is told of a run that is not there yet";
  log.Run();
  EXPECT_EQ(log->durable(), 2);
  log.Append();
  EXPECT_EQ(log->durable(), 3) << "a step is told at once";
  EXPECT_EQ(log->written(), 3);
  log.Append(/*control=*/true);
  log.Append();
  EXPECT_EQ(log->durable(), 3) << "what comes after a change waits for it";
  log.Run();
  EXPECT_EQ(log->durable(), 5);
  EXPECT_TRUE(EventsIn(files->WithoutPending().get()) == log.logged());
  EXPECT_THAT(NumbersIn(FolderIn(files.get())), ElementsAre(1, 4));
}

// A step waits for the log to need nothing of its pushes any more, and nothing else would wake it.
TEST(DurableLogTest, WhatIsNotLoggedIsNotWaitedForWhileOthersAreWritten) {
  const auto files = NewDirectory();
  Logged log(files.get(), /*journal=*/false);
  log.Append();
  log.Run();
  log->BeginSegment();
  log.Append();
  EXPECT_EQ(log->written(), 2);
  EXPECT_EQ(log->durable(), 2);
  log.Run();
  log.Append(/*control=*/true);
  log.Append();
  EXPECT_EQ(log->written(), 2);
  log.Run();
  EXPECT_EQ(log->written(), 4);
}

TEST(DurableLogTest, AJournalThatIsSwitchedOnHasAllEventsFromThereOn) {
  const auto files = NewDirectory();
  Logged log(files.get(), /*journal=*/false);
  log.Append();
  log.Append();
  state::v1::Event change;
  change.set_number(3);
  change.mutable_change()->mutable_spec()->set_journal(true);
  log.Append(change);
  log.Append();
  log.Append();
  change.set_number(6);
  change.mutable_change()->mutable_spec()->set_journal(false);
  log.Append(change);
  log.Append();
  log.Run();
  EXPECT_THAT(NumbersIn(FolderIn(files.get())), ElementsAre(1, 3, 4, 5, 6));
  EXPECT_EQ(log->durable(), 7);
}

TEST(DurableLogTest, SegmentsSayWhereTheyBeginAndEnd) {
  const auto files = NewDirectory();
  Logged log(files.get());
  Play(&log);
  const RunFolder folder = FolderIn(files.get());
  EXPECT_THAT(*folder.Segments(), ElementsAre(1, 2, 3));
  const ReadSegment first = ReadAll(files.get(), folder.SegmentPath(1));
  EXPECT_THAT(first.numbers, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(first.end, "last_event: 4");
  EXPECT_EQ(first.header.run_uid(), kLoggedUid);
  const ReadSegment second = ReadAll(files.get(), folder.SegmentPath(2));
  EXPECT_THAT(second.numbers, ElementsAre(5, 6, 7));
  EXPECT_EQ(second.header.first_event(), 5);
  const ReadSegment third = ReadAll(files.get(), folder.SegmentPath(3));
  EXPECT_EQ(third.header.first_event(), 8);
  EXPECT_EQ(third.end, "");
}

// The last record says so of all before it.
TEST(DurableLogTest, NoDamageInAClosedSegmentIsTakenForATail) {
  const auto files = NewDirectory();
  Logged log(files.get());
  log.Append();
  log.Append();
  log->BeginSegment();
  log.Run();
  const std::string path = FolderIn(files.get()).SegmentPath(1);
  const std::string written = files->Contents(path);
  const ReadSegment read = ReadAll(files.get(), path);
  ASSERT_EQ(read.end, "last_event: 2");
  ASSERT_EQ(read.positions.size(), 2U);
  for (auto at = static_cast<size_t>(read.positions[1]); at < written.size(); ++at) {
    std::string changed = written;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    files->SetContents(path, changed);
    const ReadSegment damaged = ReadAll(files.get(), path);
    EXPECT_TRUE(!damaged.status.ok() || damaged.numbers.size() == 2) << at;
  }
}

// Nobody finds anything of the run any more when it is told that it is deleted.
TEST(DurableLogTest, ARunIsAwayBeforeAnybodyIsToldThatItIsDeleted) {
  for (int64_t call = 1;; ++call) {
    const auto files = NewDirectory();
    Logged log(files.get());
    Play(&log);
    const auto before = static_cast<int64_t>(files->calls().size());
    files->HaltAt(before + call);
    log.SetMoved([&] {
      if (log->durable() < log.last()) return;
      for (uint64_t seed = 0; seed < kSeeds; ++seed) {
        const auto left = files->AfterCrash(seed);
        EXPECT_THAT(*left->List("s/runs"), IsEmpty()) << "call " << call << ", seed " << seed;
      }
    });
    log.Delete();
    log.Run();
    if (static_cast<int64_t>(files->calls().size()) < before + call) {
      EXPECT_EQ(log->durable(), 13);
      const auto left = files->WithPending();
      EXPECT_THAT(*left->List("s/runs"), IsEmpty());
      EXPECT_THAT(*left->List("s/deleted"), IsEmpty());
      EXPECT_GT(call, 3);
      return;
    }
    // As long as nobody was told, all of it is there, or nothing is.
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const auto left = files->AfterCrash(seed);
      const std::vector<std::string> runs = *left->List("s/runs");
      if (log->durable() == 13) {
        EXPECT_THAT(runs, IsEmpty());
      } else if (!runs.empty()) {
        EXPECT_EQ(EventsIn(left.get()).size(), 12U);
      }
    }
  }
}

TEST(DurableLogTest, ADeletionWaitsForRoomToo) {
  for (const char* const name : {"rename", "syncdir"}) {
    const auto files = NewDirectory();
    Logged log(files.get());
    Play(&log);
    files->SetFault({1, ENOSPC, /*lasting=*/false, name});
    log.Delete();
    log.Run();
    EXPECT_TRUE(log->waits_for_room());
    EXPECT_EQ(log->durable(), 12);
    log->Retry();
    log.Run();
    EXPECT_EQ(log->durable(), 13);
    EXPECT_THAT(*files->WithoutPending()->List("s/runs"), IsEmpty()) << name;
  }
}

TEST(DurableLogTest, FinishedIsToldWhenACheckpointHasIt) {
  const auto files = NewDirectory();
  Logged log(files.get(), /*journal=*/false);
  log.Append();
  log.Append();
  log.Run();
  int64_t moves = 0;
  log.SetMoved([&] { ++moves; });
  log.Append();
  log->AwaitCheckpoint(3);
  EXPECT_EQ(log->durable(), 2);
  EXPECT_TRUE(log->awaits_checkpoint());
  log.Append();
  EXPECT_EQ(log->durable(), 2);
  log->CheckpointMade(2);
  EXPECT_EQ(log->durable(), 2) << "that one is of before";
  EXPECT_EQ(moves, 0);
  log->CheckpointMade(3);
  EXPECT_EQ(log->durable(), 4);
  EXPECT_EQ(moves, 1);
  EXPECT_FALSE(log->awaits_checkpoint());
}

TEST(DurableLogTest, CloseWritesAllThatCameAndThatItIsAll) {
  for (const bool complete : {true, false}) {
    const auto files = NewDirectory();
    Logged log(files.get());
    log.Append();
    log.Run();
    log.Append();
    log.Append();
    int closed = 0;
    log->Close(complete, [&] {
      ++closed;
      EXPECT_TRUE(EventsIn(files->WithoutPending().get()) == log.logged());
    });
    EXPECT_EQ(closed, 0);
    log.Run();
    EXPECT_EQ(closed, 1);
    EXPECT_EQ(log->durable(), 3);
    const ReadSegment read = ReadAll(files.get(), FolderIn(files.get()).SegmentPath(1));
    EXPECT_EQ(read.end, complete ? "last_event: 3 complete: true" : "");
    // What comes now is never told.
    const auto calls = files->calls().size();
    log->Append(Paused(4), {});
    log.Run();
    EXPECT_EQ(log->durable(), 3);
    EXPECT_FALSE(log->failure().ok());
    EXPECT_EQ(files->calls().size(), calls);
    log->Close(complete, [&] { ++closed; });
    EXPECT_EQ(closed, 2);
  }
}

TEST(DurableLogTest, CloseDoesNotWaitForRoom) {
  const auto files = NewDirectory();
  Logged log(files.get());
  log.Append();
  log.Run();
  files->SetRoom(0);
  log.Append();
  log.Run();
  ASSERT_TRUE(log->waits_for_room());
  bool closed = false;
  bool told = false;
  log.SetMoved([&] { told = !log->failure().ok(); });
  log->Close(/*complete=*/true, [&] { closed = true; });
  EXPECT_TRUE(closed);
  EXPECT_TRUE(told) << "nobody waits for a log that is closed";
  // It closes while it tries again.
  for (const bool full : {true, false}) {
    const auto tried = NewDirectory();
    Logged retrying(tried.get());
    retrying.Append();
    retrying.Run();
    tried->SetRoom(0);
    retrying.Append();
    retrying.Run();
    if (!full) tried->SetRoom(kMuchRoom);
    retrying->Retry();
    closed = false;
    retrying->Close(/*complete=*/true, [&] { closed = true; });
    EXPECT_FALSE(closed);
    retrying.Run();
    EXPECT_TRUE(closed);
    EXPECT_EQ(retrying->durable(), full ? 1 : 2);
  }
  // The disk is full while it closes.
  const auto others = NewDirectory();
  Logged other(others.get());
  other.Append();
  other.Run();
  others->SetRoom(0);
  other.Append();
  closed = false;
  other->Close(/*complete=*/true, [&] { closed = true; });
  other.Run();
  EXPECT_TRUE(closed);
  EXPECT_EQ(other->durable(), 1);
}

// A log that goes on after a restart: what is appended before it starts is there as a whole.
TEST(DurableLogTest, WhatWasAppendedBeforeItStartsIsThereTogether) {
  for (int64_t call = 1;; ++call) {
    const auto files = NewDirectory();
    ASSERT_TRUE(FolderIn(files.get()).Create().ok());
    ASSERT_TRUE(FolderIn(files.get()).Publish().ok());
    VirtualExecutor executor(1);
    const auto log = std::make_shared<DurableLog>(
        std::make_shared<RunFolder>(files.get(), "s", kLoggedRun), executor.Share());
    DurableLog::Position position;
    position.segment = 5;
    position.previous_bytes = 77;
    position.journal = true;
    position.run_uid = kLoggedUid;
    position.timeline = 3;
    position.last_event = 100;
    log->GoOn(position);
    EXPECT_EQ(log->durable(), 100);
    const auto before = static_cast<int64_t>(files->calls().size());
    files->HaltAt(before + call);
    for (int64_t number = 101; number <= 103; ++number) log->Append(Evaluated(number), {});
    executor.RunAll();
    EXPECT_EQ(static_cast<int64_t>(files->calls().size()), before) << "it has not started";
    log->Start();
    executor.RunAll();
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const auto left = files->AfterCrash(seed);
      const size_t there = EventsIn(left.get()).size();
      EXPECT_TRUE(there == 3 || (there == 0 && log->durable() == 100)) << there;
    }
    if (static_cast<int64_t>(files->calls().size()) >= before + call) continue;
    EXPECT_EQ(log->durable(), 103);
    const auto left = files->WithPending();
    const ReadSegment read = ReadAll(left.get(), FolderIn(left.get()).SegmentPath(5));
    EXPECT_EQ(read.header.first_event(), 101);
    EXPECT_EQ(read.header.previous_bytes(), 77);
    EXPECT_EQ(read.header.timeline(), 3U);
    return;
  }
}

}  // namespace
}  // namespace gradd
