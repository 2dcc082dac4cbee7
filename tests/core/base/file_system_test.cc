#include "core/base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReadAll(FileSystem* files, const std::string& path) {
  const auto file = files->OpenToRead(path);
  if (!file.ok()) return file.status().ToString();
  std::string data(static_cast<size_t>((*file)->size()), '\0');
  const absl::Status read = (*file)->Read(0, (*file)->size(), data.data());
  return read.ok() ? data : read.ToString();
}

void WriteAll(FileSystem* files, const std::string& path, absl::string_view data) {
  const auto file = files->Create(path);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append({data}).ok());
  ASSERT_TRUE((*file)->Sync().ok());
}

// What both promise: that of the machine (true), and the one in memory that tests use.
class FileSystemTest : public testing::TestWithParam<bool> {
 protected:
  FileSystemTest() { EXPECT_TRUE(files_->CreateDirectory(directory_).ok()); }
  ~FileSystemTest() override {
    if (GetParam()) std::filesystem::remove_all(directory_);
  }

  std::string In(const std::string& name) const { return directory_ + "/" + name; }

  FakeFileSystem fake_;
  FileSystem* const files_ = GetParam() ? FileSystem::Real() : &fake_;
  const std::string directory_ =
      GetParam() ? testing::TempDir() + "file_system_" + std::to_string(getpid()) : "/state";
};

INSTANTIATE_TEST_SUITE_P(RealAndFake, FileSystemTest, testing::Bool(),
                         [](const auto& row) { return row.param ? "Real" : "Fake"; });

TEST_P(FileSystemTest, AFileHasWhatWasAppendedInItsOrder) {
  {
    const auto file = files_->Create(In("a"));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append({"one ", "", "two "}).ok());
    // More pieces than a call of the system takes.
    const std::string piece = "x";
    const std::vector<absl::string_view> many(3000, piece);
    ASSERT_TRUE((*file)->Append(many).ok());
    EXPECT_EQ((*file)->size(), 3008);
    ASSERT_TRUE((*file)->Append({}).ok());
    ASSERT_TRUE((*file)->Truncate(10).ok());
    EXPECT_EQ((*file)->size(), 10);
    ASSERT_TRUE((*file)->Append({" three"}).ok());
    ASSERT_TRUE((*file)->Sync().ok());
  }
  EXPECT_EQ(ReadAll(files_, In("a")), "one two xx three");
  const auto again = files_->OpenToAppend(In("a"));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ((*again)->size(), 16);
  ASSERT_TRUE((*again)->Append({"!"}).ok());
  EXPECT_EQ(ReadAll(files_, In("a")), "one two xx three!");
}

TEST_P(FileSystemTest, AFileIsReadAnywhereButNotBeyondItsEnd) {
  WriteAll(files_, In("a"), "0123456789");
  const auto file = *files_->OpenToRead(In("a"));
  char middle[4];
  ASSERT_TRUE(file->Read(3, 4, middle).ok());
  EXPECT_EQ(std::string(middle, 4), "3456");
  EXPECT_TRUE(file->Read(10, 0, middle).ok());
  const absl::Status beyond = file->Read(8, 4, middle);
  EXPECT_EQ(beyond.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(beyond), "FILE");
  EXPECT_THAT(beyond.ToString(), HasSubstr("it ends at byte 10, 12 bytes expected"));
}

TEST_P(FileSystemTest, WhatIsMissingOrThereIsSaidSo) {
  EXPECT_EQ(files_->OpenToRead(In("a")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(files_->OpenToAppend(In("a")).status()), "FILE_NOT_FOUND");
  EXPECT_EQ(ReasonOf(files_->Remove(In("a"))), "FILE_NOT_FOUND");
  EXPECT_EQ(ReasonOf(files_->Create(In("none/a")).status()), "FILE_NOT_FOUND");
  EXPECT_EQ(ReasonOf(files_->List(In("none")).status()), "FILE_NOT_FOUND");
  EXPECT_EQ(ReasonOf(files_->SyncDirectory(In("none"))), "FILE_NOT_FOUND");
  const absl::Status renamed = files_->Rename(In("a"), In("b"));
  EXPECT_EQ(ReasonOf(renamed), "FILE_NOT_FOUND");
  EXPECT_THAT(std::string(renamed.message()), HasSubstr("/a to "));
  WriteAll(files_, In("a"), "a");
  const absl::Status there = files_->Create(In("a")).status();
  EXPECT_EQ(there.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(there.message()), HasSubstr("/a: File exists"));
}

TEST_P(FileSystemTest, DirectoriesAreMadeListedAndRemoved) {
  ASSERT_TRUE(files_->CreateDirectory(In("d")).ok());
  ASSERT_TRUE(files_->CreateDirectory(In("d")).ok()) << "it is there already";
  WriteAll(files_, In("d/z"), "z");
  WriteAll(files_, In("d/a"), "a");
  ASSERT_TRUE(files_->CreateDirectory(In("d/m")).ok());
  EXPECT_THAT(*files_->List(In("d")), ElementsAre("a", "m", "z"));
  EXPECT_TRUE(files_->SyncDirectory(In("d")).ok());
  EXPECT_FALSE(files_->RemoveDirectory(In("d")).ok()) << "it is not empty";
  EXPECT_FALSE(files_->Remove(In("d/m")).ok()) << "it is a directory";
  EXPECT_FALSE(files_->CreateDirectory(In("d/a")).ok()) << "it is a file";
  EXPECT_FALSE(files_->OpenToRead(In("d/m")).ok());
  EXPECT_FALSE(files_->List(In("d/a")).ok());
  ASSERT_TRUE(files_->Remove(In("d/a")).ok());
  ASSERT_TRUE(files_->Remove(In("d/z")).ok());
  ASSERT_TRUE(files_->RemoveDirectory(In("d/m")).ok());
  ASSERT_TRUE(files_->RemoveDirectory(In("d")).ok());
  EXPECT_THAT(*files_->List(directory_), ElementsAre());
}

TEST_P(FileSystemTest, ARenamedFileTakesThePlaceOfAnother) {
  WriteAll(files_, In("a"), "new");
  WriteAll(files_, In("b"), "old");
  const auto old = *files_->OpenToRead(In("b"));
  ASSERT_TRUE(files_->Rename(In("a"), In("b")).ok());
  EXPECT_EQ(ReadAll(files_, In("b")), "new");
  EXPECT_THAT(*files_->List(directory_), ElementsAre("b"));
  std::string data(3, '\0');
  ASSERT_TRUE(old->Read(0, 3, data.data()).ok());
  EXPECT_EQ(data, "old") << "who has it open goes on with it";
}

TEST_P(FileSystemTest, ADirectoryIsRenamedWithWhatIsInIt) {
  ASSERT_TRUE(files_->CreateDirectory(In("d")).ok());
  WriteAll(files_, In("d/a"), "a");
  ASSERT_TRUE(files_->Rename(In("d"), In("e")).ok());
  EXPECT_EQ(ReadAll(files_, In("e/a")), "a");
  EXPECT_THAT(*files_->List(directory_), ElementsAre("e"));
}

TEST_P(FileSystemTest, ALockIsForOne) {
  auto lock = files_->Lock(In("lock"));
  ASSERT_TRUE(lock.ok()) << lock.status();
  const absl::Status second = files_->Lock(In("lock")).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(second), "IN_USE");
  EXPECT_THAT(std::string(second.message()), HasSubstr("/lock: another process has it"));
  lock->reset();
  EXPECT_TRUE(files_->Lock(In("lock")).ok());
}

// What the machine has, and the fake has not.
class RealFileSystemTest : public testing::Test {
 protected:
  RealFileSystemTest() { std::filesystem::create_directory(directory_); }
  ~RealFileSystemTest() override { std::filesystem::remove_all(directory_); }

  FileSystem* const files_ = FileSystem::Real();
  const std::string directory_ =
      testing::TempDir() + "real_file_system_" + std::to_string(getpid());
};

TEST_F(RealFileSystemTest, FilesAreForTheirOwnerAlone) {
  WriteAll(files_, directory_ + "/a", "a");
  ASSERT_TRUE(files_->CreateDirectory(directory_ + "/d").ok());
  struct stat found = {};
  ASSERT_EQ(stat((directory_ + "/a").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07077, 0U);
  ASSERT_EQ(stat((directory_ + "/d").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07077, 0U);
}

TEST_F(RealFileSystemTest, LinksAreNotFollowed) {
  WriteAll(files_, directory_ + "/target", "secret");
  std::filesystem::create_symlink("target", directory_ + "/link");
  std::filesystem::create_directory_symlink(".", directory_ + "/directory_link");
  const std::string link = directory_ + "/link";
  EXPECT_FALSE(files_->OpenToRead(link).ok());
  EXPECT_FALSE(files_->OpenToAppend(link).ok());
  EXPECT_FALSE(files_->Create(link).ok());
  EXPECT_FALSE(files_->Lock(link).ok());
  EXPECT_FALSE(files_->CreateDirectory(directory_ + "/directory_link").ok());
  EXPECT_FALSE(files_->List(directory_ + "/directory_link").ok());
  EXPECT_TRUE(files_->Remove(link).ok());
  EXPECT_EQ(ReadAll(files_, directory_ + "/target"), "secret");
}

TEST_F(RealFileSystemTest, WhatIsNoRegularFileIsRefusedAtOnce) {
  const std::string pipe = directory_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(files_->OpenToRead(pipe).status().ToString(), HasSubstr("not a regular file"));
  EXPECT_FALSE(files_->OpenToAppend(pipe).ok()) << "and nobody waits for who reads it";
  EXPECT_FALSE(files_->OpenToRead("/dev/null").ok());
}

TEST_F(RealFileSystemTest, AFileThatMayNotGrowIsAFullDisk) {
  const auto file = *files_->Create(directory_ + "/a");
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit limit = before;
  limit.rlim_cur = 1000;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string data(1500, 'x');
  const absl::Status full = file->Append({data});
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(IsDiskFull(full)) << full;
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("/a: File too large"));
  EXPECT_EQ(file->size(), 0);
  // What did get there is in nobody's way.
  ASSERT_TRUE(file->Append({"ab"}).ok());
  ASSERT_TRUE(file->Truncate(file->size()).ok());
  EXPECT_EQ(ReadAll(files_, directory_ + "/a"), "ab");
}

}  // namespace
}  // namespace gradd
