#include "core/run/run_course.h"

#include <gtest/gtest.h>

#include <memory>

#include "core/run/recent_events.h"
#include "core/run/run_events.h"
#include "tests/support/fake_clock.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

class RunCourseTest : public testing::Test {
 protected:
  RunCourseTest() { events_.Create(SynchronousSpec(1, 1), "uid", ""); }
  void Enter(v1::RunState state) {
    state::v1::StateChange change;
    change.set_state(state);
    change.set_author("ada");
    events_.ChangeState(change);
  }

  FakeClock clock_;
  RunRecord record_;
  RunEvents events_{std::make_shared<RecentEvents>(1000), &clock_, &record_};
  RunCourse course_{&record_, absl::Seconds(10)};
};

TEST_F(RunCourseTest, TimeCountsWhileItMoves) {
  EXPECT_TRUE(course_.Moves());
  EXPECT_EQ(course_.Elapsed(absl::Seconds(15)), absl::Seconds(5));
  Enter(v1::RUN_STATE_PAUSED);
  EXPECT_TRUE(course_.Note(absl::Seconds(20)));
  EXPECT_FALSE(course_.Note(absl::Seconds(21)));  // Nothing has changed since.
  EXPECT_FALSE(course_.Moves());
  EXPECT_EQ(course_.stopped_at(), absl::Seconds(20));
  EXPECT_EQ(course_.Elapsed(absl::Seconds(50)), absl::Seconds(10));
  Enter(v1::RUN_STATE_RUNNING);
  EXPECT_TRUE(course_.Note(absl::Seconds(50)));
  EXPECT_EQ(course_.Elapsed(absl::Seconds(53)), absl::Seconds(13));
  EXPECT_EQ(course_.Until(absl::Seconds(53)), absl::Seconds(53));
}

TEST_F(RunCourseTest, HeldIsShownUntilItIsFinished) {
  course_.SetHeld(true);
  EXPECT_FALSE(course_.Moves());
  EXPECT_EQ(course_.State(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(course_.ShownState(), v1::RUN_STATE_HELD);
  Enter(v1::RUN_STATE_PAUSED);
  EXPECT_EQ(course_.State(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(course_.ShownState(), v1::RUN_STATE_HELD);
  Enter(v1::RUN_STATE_FINISHED);
  course_.SetOver(true);
  EXPECT_EQ(course_.ShownState(), v1::RUN_STATE_FINISHED);
}

// Its last step is entered when it begins; people see the end when it is made.
TEST_F(RunCourseTest, RunsUntilItsEndIsTold) {
  Enter(v1::RUN_STATE_FINISHED);
  EXPECT_EQ(course_.State(), v1::RUN_STATE_RUNNING);
  EXPECT_TRUE(course_.Moves());
  EXPECT_FALSE(course_.Note(absl::Seconds(20)));
  course_.SetOver(true);
  EXPECT_EQ(course_.State(), v1::RUN_STATE_FINISHED);
  EXPECT_TRUE(course_.Note(absl::Seconds(20)));
}

TEST_F(RunCourseTest, GoesOnFromARecordThatWasWrittenDown) {
  Enter(v1::RUN_STATE_FINISHED);
  course_.GoOn(absl::Seconds(30));
  EXPECT_TRUE(course_.over());
  EXPECT_FALSE(course_.Moves());
  EXPECT_EQ(course_.Elapsed(absl::Seconds(90)), absl::Seconds(20));
}

}  // namespace
}  // namespace gradd
