#include "core/base/new_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace gradd {
namespace {

using ::testing::HasSubstr;

class NewFileTest : public testing::Test {
 protected:
  NewFileTest() { std::filesystem::create_directory(directory_); }
  ~NewFileTest() override { std::filesystem::remove_all(directory_); }

  static void Write(const std::string& path) {
    const auto file = NewFile::Create(path);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Write("new").ok());
    ASSERT_TRUE((*file)->Commit().ok());
  }
  static std::string Contents(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::string Refusal(const std::string& path) {
    return std::string(NewFile::Create(path).status().message());
  }

  const std::string directory_ = testing::TempDir() + "new_file_" + std::to_string(getpid());
};

TEST_F(NewFileTest, WhatIsNoRegularFileIsNotReplaced) {
  EXPECT_THAT(Refusal("/dev/null"), HasSubstr("/dev/null: it exists and is not a regular file"));
  EXPECT_THAT(Refusal(directory_), HasSubstr("not a regular file"));
}

TEST_F(NewFileTest, ALinkStaysAndItsTargetIsReplaced) {
  const std::string target = directory_ + "/target";
  const std::string link = directory_ + "/link";
  std::ofstream(target) << "old";
  std::filesystem::create_symlink("target", link);
  Write(link);
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(Contents(target), "new");
}

TEST_F(NewFileTest, WhatIsReplacedKeepsItsPermissions) {
  const std::string path = directory_ + "/secret";
  std::ofstream(path) << "old";
  const auto own = std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
  std::filesystem::permissions(path, own);
  Write(path);
  EXPECT_EQ(std::filesystem::status(path).permissions(), own);
}

TEST_F(NewFileTest, TheStandardOutputIsNotReplaced) {
  const std::string link = directory_ + "/stdout";
  std::filesystem::create_symlink("/proc/self/fd/1", link);
  // Wherever this test's own output goes: a terminal, a pipe, or a file.
  EXPECT_THAT(Refusal(link), HasSubstr(link));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
}

TEST_F(NewFileTest, ALinkThatLeadsNowhereYetIsFollowed) {
  std::filesystem::create_directory(directory_ + "/far");
  std::filesystem::create_symlink("far/target", directory_ + "/second");
  std::filesystem::create_symlink("second", directory_ + "/first");
  Write(directory_ + "/first");
  EXPECT_TRUE(std::filesystem::is_symlink(directory_ + "/first"));
  EXPECT_TRUE(std::filesystem::is_symlink(directory_ + "/second"));
  EXPECT_EQ(Contents(directory_ + "/far/target"), "new");
}

TEST_F(NewFileTest, LinksThatLeadNowhereAreRefused) {
  std::filesystem::create_symlink("circle", directory_ + "/circle");
  EXPECT_THAT(Refusal(directory_ + "/circle"), HasSubstr("/circle: Too many levels"));
  std::filesystem::create_symlink("absent/target", directory_ + "/lost");
  EXPECT_THAT(Refusal(directory_ + "/lost"), HasSubstr("/lost: No such file or directory"));
}

}  // namespace
}  // namespace gradd
