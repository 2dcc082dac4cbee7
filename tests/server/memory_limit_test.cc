#include "server/memory_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
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
  int64_t Memory() const { return ReadMemoryLimits(root_).memory_bytes; }

  const std::string root_ = testing::TempDir() + "/memory-limit-" + std::to_string(getpid());
  const int64_t machine_ = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
};

TEST_F(MemoryLimitTest, WithoutControlGroupsIsTheMachines) {
  EXPECT_EQ(Memory(), machine_);
  Write("/proc/self/cgroup", "0::/a");
  Write("/sys/fs/cgroup/a/memory.max", "max");
  EXPECT_EQ(Memory(), machine_);
  Write("/sys/fs/cgroup/a/memory.max", std::to_string(machine_ * 2));
  EXPECT_EQ(Memory(), machine_);
}

TEST_F(MemoryLimitTest, IsTheSmallestOfTheGroupsAbove) {
  Write("/proc/self/cgroup", "1:name=systemd:/z\n0::/a/b/c");
  Write("/sys/fs/cgroup/a/b/c/memory.max", "3000000");
  Write("/sys/fs/cgroup/a/b/memory.max", "max");
  Write("/sys/fs/cgroup/a/memory.max", "2000000");
  Write("/sys/fs/cgroup/z/memory.max", "1000");
  EXPECT_EQ(Memory(), 2'000'000);
  Write("/sys/fs/cgroup/memory.max", "1000000");
  EXPECT_EQ(Memory(), 1'000'000);
}

TEST_F(MemoryLimitTest, KnowsVersionOneAsContainersSeeIt) {
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000000");
  EXPECT_EQ(Memory(), 5'000'000);
}

TEST_F(MemoryLimitTest, KnowsNestedGroupsOfVersionOne) {
  Write("/proc/self/cgroup", "9:name=systemd:/z\n4:cpu,memory:/a/b\n0::/");
  Write("/proc/self/mountinfo",
        "34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "35 31 0:32 / /groups/of/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw");
  Write("/groups/of/memory/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_EQ(Memory(), machine_);
  Write("/groups/of/memory/a/memory.limit_in_bytes", "7000000");
  EXPECT_EQ(Memory(), 7'000'000);
  Write("/groups/of/memory/a/b/memory.limit_in_bytes", "6000000");
  EXPECT_EQ(Memory(), 6'000'000);
  Write("/sys/fs/cgroup/unified/memory.max", "5000000");
  EXPECT_EQ(Memory(), 5'000'000);
}

// A container without a name space of its own for groups sees the host's paths, but its mount
// begins at its own group.
TEST_F(MemoryLimitTest, FindsTheGroupBelowWhatIsMounted) {
  Write("/proc/self/cgroup", "4:memory:/docker/1a/nested");
  Write("/proc/self/mountinfo",
        "35 31 0:32 /docker/1a /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9000000");
  EXPECT_EQ(Memory(), 9'000'000);
  Write("/sys/fs/cgroup/memory/nested/memory.limit_in_bytes", "8000000");
  EXPECT_EQ(Memory(), 8'000'000);
}

TEST_F(MemoryLimitTest, ReadsTheLimitOfTheAddressSpace) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  if (before.rlim_cur != RLIM_INFINITY) GTEST_SKIP() << "there is a limit already";
  EXPECT_EQ(ReadMemoryLimits(root_).address_space_bytes, 0);
  rlimit limited = before;
  limited.rlim_cur = rlim_t{1} << 50;  // More than sanitizers take.
  ASSERT_EQ(setrlimit(RLIMIT_AS, &limited), 0);
  const MemoryLimits limits = ReadMemoryLimits(root_);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(limits.address_space_bytes, int64_t{1} << 50);
  EXPECT_GT(limits.address_space_used_bytes, 0);
}

TEST(MemoryForRunsTest, LeavesAReserveForEverythingElse) {
  constexpr int64_t kMebibyte = int64_t{1} << 20;
  const auto runs = [](int64_t memory, int64_t space = 0, int64_t used = 0) {
    return MemoryForRuns({memory * kMebibyte, space * kMebibyte, used * kMebibyte}) / kMebibyte;
  };
  EXPECT_EQ(runs(10'000), 9000);
  EXPECT_EQ(runs(256), 192);
  EXPECT_EQ(runs(64), 48);
  // An address space of 1.2 GB.
  EXPECT_EQ(runs(10'000, 1200, 100), 825);
  EXPECT_EQ(runs(10'000, 8000, 100), 7110);
  EXPECT_EQ(runs(256, 8000, 100), 192);
  EXPECT_EQ(runs(10'000, 100, 200), 0) << "less than it has already";
}

}  // namespace
}  // namespace gradd
