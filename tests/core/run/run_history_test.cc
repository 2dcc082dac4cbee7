#include "core/run/run_history.h"

#include <gtest/gtest.h>

#include <string>

namespace gradd {
namespace {

v1::Change LongChange(int number) {
  v1::Change change;
  change.set_field("max_steps");
  change.set_old_value(std::string(10'000, 'x'));
  change.set_new_value(std::to_string(number));
  return change;
}

TEST(RunHistoryTest, KeepsTheLastThousandAndCutsLongValues) {
  RunHistory history;
  for (int i = 0; i < 1'200; ++i) history.Add(LongChange(i));
  RunHistory::Changes kept;
  history.Write(&kept);
  ASSERT_EQ(kept.size(), 1'000);
  EXPECT_EQ(kept.begin()->new_value(), "200");
  EXPECT_EQ(kept.rbegin()->new_value(), "1199");
  EXPECT_LE(kept.begin()->old_value().size(), size_t{410});
}

// Beside a layout of any length that fits: the newest changes, as many as there is room for.
TEST(RunHistoryTest, FillsWhatIsLeftOfAMessageWithTheNewest) {
  constexpr size_t kMostBytes = 1'000'000;
  RunHistory history;
  for (int i = 0; i < 1'000; ++i) history.Add(LongChange(i));
  RunHistory::Changes kept;
  history.Write(&kept);
  for (const size_t layout_bytes : {0, 500'000, 900'000, 999'000, 999'900}) {
    SCOPED_TRACE(layout_bytes);
    v1::Run run;
    run.mutable_layout()->add_tensors()->set_name(std::string(layout_bytes, 'x'));
    history.AppendTo(kMostBytes, &run);
    EXPECT_LE(run.ByteSizeLong(), kMostBytes);
    for (int i = 0; i < run.history_size(); ++i) {
      EXPECT_EQ(run.history(i).new_value(), std::to_string(1'000 - run.history_size() + i));
    }
    if (run.history_size() == 1'000) continue;
    // One more has no room, where each is taken for a byte or two longer than it is.
    *run.add_history() = kept[999 - run.history_size()];
    EXPECT_GT(run.ByteSizeLong() + 2'000, kMostBytes);
  }
}

}  // namespace
}  // namespace gradd
