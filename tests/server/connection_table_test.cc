#include "server/connection_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "server/descriptor.h"

namespace gradd {
namespace {

using Verdict = ConnectionTable::Verdict;

class ConnectionTableTest : public testing::Test {
 protected:
  // A new socket, which stays open until Close().
  int Open() {
    sockets_.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return sockets_.back().get();
  }
  Verdict Admit(const std::string& peer, absl::Duration now) {
    const int descriptor = Open();
    const Verdict verdict = table_.Admit(descriptor, peer, now);
    if (verdict != Verdict::kAdmitted) sockets_.pop_back();
    return verdict;
  }

  ConnectionTable table_{{4, 2}};
  std::vector<Descriptor> sockets_;
};

TEST_F(ConnectionTableTest, HasSoManyOfAPeerAndSoManyInAll) {
  const absl::Duration now = absl::Seconds(1);
  EXPECT_EQ(Admit("a", now), Verdict::kAdmitted);
  EXPECT_EQ(Admit("a", now), Verdict::kAdmitted);
  EXPECT_EQ(Admit("a", now), Verdict::kTooManyOfPeer);
  EXPECT_EQ(Admit("b", now), Verdict::kAdmitted);
  EXPECT_EQ(Admit("c", now), Verdict::kAdmitted);
  EXPECT_EQ(Admit("d", now), Verdict::kTooMany);
}

TEST_F(ConnectionTableTest, FindsWhatWasClosedWithoutAWordTenTimesASecondAtMost) {
  absl::Duration now = absl::Seconds(1);
  for (const char* peer : {"a", "a", "b", "b"}) ASSERT_EQ(Admit(peer, now), Verdict::kAdmitted);
  EXPECT_EQ(Admit("c", now), Verdict::kTooMany);
  sockets_.erase(sockets_.begin());
  // Its number may be used by something else by now: a file that is no socket, for instance.
  const Descriptor file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(Admit("c", now + absl::Milliseconds(99)), Verdict::kTooMany);
  now += absl::Milliseconds(100);
  EXPECT_EQ(Admit("b", now), Verdict::kTooManyOfPeer);
  EXPECT_EQ(table_.size(), 3);
  EXPECT_EQ(Admit("a", now), Verdict::kAdmitted);
  EXPECT_EQ(Admit("c", now), Verdict::kTooMany);
}

TEST_F(ConnectionTableTest, ANumberThatComesAgainIsAnotherConnection) {
  const absl::Duration now = absl::Seconds(1);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(Admit("a", now), Verdict::kAdmitted) << i;
    sockets_.clear();
  }
  EXPECT_EQ(table_.size(), 1);
}

TEST(ConnectionLimitsTest, AreHalfOfTheDescriptorsOrWhatMemoryAllows) {
  constexpr int64_t kGiB = int64_t{1} << 30;
  EXPECT_EQ(ConnectionLimits::Of(20'512, 64 * kGiB).in_all, 10'000);
  EXPECT_EQ(ConnectionLimits::Of(20'512, 64 * kGiB).per_peer, 5'000);
  EXPECT_EQ(ConnectionLimits::Of(1 << 20, kGiB / 4).in_all, 512);
  EXPECT_EQ(ConnectionLimits::Of(100, kGiB).in_all, 16);
  EXPECT_EQ(ConnectionLimits::InAll(1).per_peer, 1);
}

}  // namespace
}  // namespace gradd
