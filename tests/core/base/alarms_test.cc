#include "core/base/alarms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>
#include <vector>

#include "tests/support/fake_clock.h"

namespace gradd {
namespace {

using testing::ElementsAre;

TEST(AlarmsTest, RingInTheirOrderWhenTheyAreDue) {
  FakeClock clock;
  Alarms alarms(&clock);
  std::vector<int> rung;
  const absl::Duration begin = clock.Elapsed();
  alarms.Set(begin + absl::Seconds(2), [&] { rung.push_back(2); });
  alarms.Set(begin + absl::Seconds(1), [&] {
    rung.push_back(1);
    alarms.Set(begin, [&] { rung.push_back(0); });  // Due already.
  });
  alarms.Ring();
  EXPECT_THAT(rung, ElementsAre());
  clock.Advance(absl::Seconds(1));
  alarms.Ring();
  EXPECT_THAT(rung, ElementsAre(1, 0));
  clock.Advance(absl::Seconds(1));
  alarms.Ring();
  alarms.Ring();
  EXPECT_THAT(rung, ElementsAre(1, 0, 2));
}

TEST(AlarmsTest, RingByThemselvesUntilTheyAreStopped) {
  Alarms alarms(Clock::Real());
  std::thread ringer([&] { alarms.RingUntilStopped(); });
  std::promise<absl::Duration> rung;
  const absl::Duration due = Clock::Real()->Elapsed() + absl::Milliseconds(5);
  // An earlier one than all that there are is not waited past.
  alarms.Set(due + absl::Hours(1), [] {});
  alarms.Set(due, [&] { rung.set_value(Clock::Real()->Elapsed()); });
  EXPECT_GE(rung.get_future().get(), due);
  alarms.Stop();
  ringer.join();
}

}  // namespace
}  // namespace gradd
