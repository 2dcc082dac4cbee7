#include "server/memory_limit.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace gradd {
namespace {

class MemoryLimitTest : public testing::Test {
 protected:
  ~MemoryLimitTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }

  const std::string root_ = testing::TempDir() + "/memory-limit-" + std::to_string(getpid());
  const int64_t machine_ = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
};

TEST_F(MemoryLimitTest, WithoutControlGroupsIsTheMachines) {
  EXPECT_EQ(MemoryLimitBytes(root_), machine_);
  Write("/proc/self/cgroup", "0::/a");
  Write("/sys/fs/cgroup/a/memory.max", "max");
  EXPECT_EQ(MemoryLimitBytes(root_), machine_);
  Write("/sys/fs/cgroup/a/memory.max", std::to_string(machine_ * 2));
  EXPECT_EQ(MemoryLimitBytes(root_), machine_);
}

TEST_F(MemoryLimitTest, IsTheSmallestOfTheGroupsAbove) {
  Write("/proc/self/cgroup", "1:name=systemd:/z\n0::/a/b/c");
  Write("/sys/fs/cgroup/a/b/c/memory.max", "3000000");
  Write("/sys/fs/cgroup/a/b/memory.max", "max");
  Write("/sys/fs/cgroup/a/memory.max", "2000000");
  Write("/sys/fs/cgroup/z/memory.max", "1000");
  EXPECT_EQ(MemoryLimitBytes(root_), 2'000'000);
  Write("/sys/fs/cgroup/memory.max", "1000000");
  EXPECT_EQ(MemoryLimitBytes(root_), 1'000'000);
}

TEST_F(MemoryLimitTest, KnowsVersionOneAsContainersSeeIt) {
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000000");
  EXPECT_EQ(MemoryLimitBytes(root_), 5'000'000);
}

}  // namespace
}  // namespace gradd
