#include "core/base/shared_region.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

using Access = SharedRegion::Access;

// Opens the region as another process would.
int OpenAnew(const SharedRegion& region, int flags) {
  return open(absl::StrCat("/proc/", getpid(), "/fd/", region.file()).c_str(), flags);
}

TEST(SharedRegionTest, BothSidesSeeTheSameMemory) {
  const auto region = *SharedRegion::Create(5000, Access::kPeerWrites);
  EXPECT_EQ(region->bytes(), RoundUpToPages(5000));
  const int file = OpenAnew(*region, O_RDWR);
  ASSERT_GE(file, 0);
  auto* const peer =
      static_cast<std::byte*>(mmap(nullptr, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
  ASSERT_NE(peer, MAP_FAILED);
  peer[4999] = std::byte{7};
  EXPECT_EQ(region->data()[4999], std::byte{7});
  region->data()[0] = std::byte{9};
  EXPECT_EQ(peer[0], std::byte{9});
  munmap(peer, 5000);
  close(file);
}

TEST(SharedRegionTest, NobodyCanShrinkIt) {
  for (const Access access : {Access::kPeerReads, Access::kPeerWrites}) {
    const auto region = *SharedRegion::Create(100'000, access);
    const int file = OpenAnew(*region, O_RDWR);
    ASSERT_GE(file, 0);
    EXPECT_NE(ftruncate(file, 0), 0);
    EXPECT_EQ(errno, EPERM);
    EXPECT_NE(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), 0) << "the seals themselves are sealed";
    EXPECT_NE(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
              access == Access::kPeerReads ? 0 : -1);
    close(file);
    region->data()[99'999] = std::byte{1};
  }
}

TEST(SharedRegionTest, APeerThatMayOnlyReadCannotWrite) {
  const auto region = *SharedRegion::Create(4096, Access::kPeerReads);
  region->data()[0] = std::byte{3};
  const int file = OpenAnew(*region, O_RDWR);
  ASSERT_GE(file, 0);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
  EXPECT_LT(pwrite(file, "x", 1, 0), 0);
  void* const readable = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0);
  ASSERT_NE(readable, MAP_FAILED);
  EXPECT_NE(mprotect(readable, 4096, PROT_READ | PROT_WRITE), 0);
  EXPECT_EQ(static_cast<std::byte*>(readable)[0], std::byte{3});
  munmap(readable, 4096);
  close(file);
}

TEST(SharedRegionTest, TheNameTellsItsToken) {
  const auto region = *SharedRegion::Create(1, Access::kPeerReads);
  char target[256] = "";
  const std::string link = absl::StrCat("/proc/self/fd/", region->file());
  ASSERT_GT(readlink(link.c_str(), target, sizeof(target) - 1), 0);
  EXPECT_NE(std::string(target).find(region->token()), std::string::npos);
  EXPECT_NE((*SharedRegion::Create(1, Access::kPeerReads))->token(), region->token());
}

TEST(SharedRegionTest, AnAbsurdSizeIsAnErrorWithTheSize) {
  const auto region = SharedRegion::Create(int64_t{1} << 62, Access::kPeerReads);
  EXPECT_EQ(region.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(region.status().message().find("4611686018427387904"), std::string::npos);
}

TEST(SharedRegionTest, PagesAreFaultedInBeforehand) {
  const int64_t pages = 64;
  const auto region = *SharedRegion::Create(pages * PageBytes(), SharedRegion::Access::kPeerWrites);
  const auto there = [&] {
    std::vector<unsigned char> in_memory(pages);
    mincore(region->data(), static_cast<size_t>(region->bytes()), in_memory.data());
    return std::count_if(in_memory.begin(), in_memory.end(),
                         [](unsigned char page) { return (page & 1) != 0; });
  };
  ASSERT_EQ(there(), 0);
  region->FaultIn(8 * PageBytes(), 16 * PageBytes());
  if (there() == 0) GTEST_SKIP() << "Linux 5.14 or later faults in what it is asked to";
  EXPECT_EQ(there(), 16);
}

}  // namespace
}  // namespace gradd
