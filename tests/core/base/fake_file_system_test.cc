// What tests rely on: the fake loses no less than a disk does.

#include "tests/support/fake_file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace gradd {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

std::string SeenIn(FakeFileSystem* files, const std::string& path) {
  return files->OpenToRead(path).ok() ? files->Contents(path) : "(none)";
}

// All that may be left of a file.
std::set<std::string> Outcomes(const FakeFileSystem& files, const std::string& path) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    outcomes.insert(SeenIn(files.AfterCrash(seed).get(), path));
  }
  return outcomes;
}

TEST(FakeFileSystemTest, WhatWasNotSyncedIsLostOrKeptOrTorn) {
  FakeFileSystem files;
  auto file = *files.Create("a");
  ASSERT_TRUE(files.SyncDirectory("/").ok());
  ASSERT_TRUE(file->Append({"abcd"}).ok());
  const std::set<std::string> fresh = Outcomes(files, "a");
  EXPECT_THAT(fresh, IsSupersetOf(std::vector<std::string>{"", "a", "ab", "abc", "abcd",
                                                           std::string(4, '\0')}));
  EXPECT_EQ(SeenIn(files.WithoutPending().get(), "a"), "");
  EXPECT_EQ(SeenIn(files.WithPending().get(), "a"), "abcd");
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(files, "a"), ElementsAre("abcd"));
  ASSERT_TRUE(file->Append({"ef"}).ok());
  for (const std::string& left : Outcomes(files, "a")) EXPECT_EQ(left.substr(0, 4), "abcd");
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(SeenIn(files.WithoutPending().get(), "a"), "abcd");
  EXPECT_EQ(SeenIn(files.WithPending().get(), "a"), "ab");
}

TEST(FakeFileSystemTest, PagesComeToTheDiskInAnyOrder) {
  FakeFileSystem files;
  const auto file = *files.Create("a");
  ASSERT_TRUE(files.SyncDirectory("").ok());
  ASSERT_TRUE(file->Append({std::string(64, 'a'), std::string(64, 'b')}).ok());
  EXPECT_EQ(Outcomes(files, "a").count(std::string(64, '\0') + std::string(64, 'b')), 1U);
}

TEST(FakeFileSystemTest, ANameIsThereAfterItsDirectoryWasSynced) {
  FakeFileSystem files;
  ASSERT_TRUE((*files.Create("a"))->Sync().ok());
  EXPECT_THAT(Outcomes(files, "a"), UnorderedElementsAre("", "(none)"));
  ASSERT_TRUE(files.SyncDirectory("").ok());
  EXPECT_THAT(Outcomes(files, "a"), ElementsAre(""));
  ASSERT_TRUE(files.CreateDirectory("d").ok());
  ASSERT_TRUE((*files.Create("d/b"))->Sync().ok());
  ASSERT_TRUE(files.SyncDirectory("d").ok());
  EXPECT_THAT(Outcomes(files, "d/b"), UnorderedElementsAre("", "(none)"))
      << "the directory itself may be lost";
}

TEST(FakeFileSystemTest, AFileThatReplacesAnotherIsThereAsAWhole) {
  FakeFileSystem files;
  files.SetContents("a", "old");
  const auto file = *files.Create("a.new");
  ASSERT_TRUE(file->Append({"new"}).ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(files.Rename("a.new", "a").ok());
  EXPECT_THAT(Outcomes(files, "a"), UnorderedElementsAre("old", "new"));
  ASSERT_TRUE(files.Remove("a").ok());
  // In their order: it is not removed before it was replaced.
  EXPECT_THAT(Outcomes(files, "a"), UnorderedElementsAre("old", "new", "(none)"));
  ASSERT_TRUE(files.SyncDirectory("").ok());
  EXPECT_THAT(Outcomes(files, "a"), ElementsAre("(none)"));
}

TEST(FakeFileSystemTest, WithoutASyncAReplacedFileMayBeEmpty) {
  FakeFileSystem files;
  files.SetContents("a", "old");
  ASSERT_TRUE((*files.Create("a.new"))->Append({"new"}).ok());
  ASSERT_TRUE(files.Rename("a.new", "a").ok());
  ASSERT_TRUE(files.SyncDirectory("").ok());
  EXPECT_THAT(Outcomes(files, "a"), IsSupersetOf({"", "ne", "new"}));
}

TEST(FakeFileSystemTest, WhatAFailedSyncLeftBehindIsLostForGood) {
  FakeFileSystem files;
  const auto file = *files.Create("a");
  ASSERT_TRUE(files.SyncDirectory("").ok());
  ASSERT_TRUE(file->Append({"ab"}).ok());
  files.SetFault({1, EIO, /*lasting=*/false, "sync"});
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_EQ(files.Contents("a"), "ab") << "whoever reads it sees it";
  ASSERT_TRUE(file->Append({"cd"}).ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_THAT(Outcomes(files, "a"), ElementsAre(std::string("\0\0cd", 4)));
}

TEST(FakeFileSystemTest, ACallFailsAndWritesAPart) {
  FakeFileSystem files;
  const auto file = *files.Create("a");
  files.SetFault({2, EIO});
  EXPECT_EQ(files.calls(), (std::vector<std::string>{"create a"}));
  const absl::Status failed = file->Append({"abcd"});
  EXPECT_EQ(failed.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(files.Contents("a"), "ab");
  EXPECT_EQ(file->size(), 0);
  EXPECT_TRUE(file->Append({"efgh"}).ok());
  EXPECT_EQ(files.Contents("a"), "efgh");
  files.SetFault({1, EIO, /*lasting=*/true, "write"});
  EXPECT_FALSE(file->Append({"x"}).ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_FALSE(file->Append({"x"}).ok());
}

TEST(FakeFileSystemTest, AFullDiskHasRoomAgain) {
  FakeFileSystem files;
  files.SetContents("b", "0123456789");
  files.SetRoom(13);
  const auto file = *files.Create("a");
  const absl::Status full = file->Append({"abcdef"});
  EXPECT_TRUE(IsDiskFull(full)) << full;
  EXPECT_EQ(files.Contents("a"), "abc");
  ASSERT_TRUE(files.Remove("b").ok());
  EXPECT_TRUE(file->Append({"abcdef"}).ok());
  EXPECT_EQ(files.Contents("a"), "abcdef");
}

TEST(FakeFileSystemTest, WhereItHaltsNothingHappensAnyMore) {
  FakeFileSystem files;
  const auto file = *files.Create("a");
  ASSERT_TRUE(files.SyncDirectory("").ok());
  ASSERT_TRUE(file->Append({"ab"}).ok());
  files.HaltAt(4);
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_FALSE(files.Remove("a").ok());
  EXPECT_FALSE(file->Append({"cd"}).ok());
  EXPECT_THAT(Outcomes(files, "a"), Contains("ab"));
  EXPECT_THAT(Outcomes(files, "a"), Not(Contains("(none)")));
  EXPECT_THAT(files.calls(),
              ElementsAre("create a", "syncdir ", "write a", "sync a", "remove a", "write a"));
}

}  // namespace
}  // namespace gradd
