#include "client/leased_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

v1::Welcome DataWelcome(const std::vector<int64_t>& leased, uint64_t timeline = 1) {
  v1::Welcome welcome;
  welcome.set_timeline(timeline);
  welcome.mutable_limits()->set_max_leased_batches(100);
  *welcome.mutable_data()->mutable_leased() = BatchRangesOf(leased);
  return welcome;
}

v1::BatchLease LeaseOf(const std::vector<int64_t>& batches, uint64_t timeline = 1) {
  v1::BatchLease lease;
  *lease.mutable_ranges() = BatchRangesOf(batches);
  lease.set_ended(batches.empty());
  lease.set_timeline(timeline);
  return lease;
}

class LeasedBatchesTest : public testing::Test {
 protected:
  std::vector<int64_t> TakeNow(int64_t count) {
    const auto batches = batches_.Take(count, absl::ZeroDuration());
    return batches.ok() ? *batches : std::vector<int64_t>();
  }
  // What is to be sent: `ask 3`, `return 7+1`.
  std::vector<std::string> Sent() {
    std::vector<std::string> sent;
    for (const v1::TrainRequest& request : batches_.TakeRequests()) {
      std::string text;
      if (request.has_lease_batches()) {
        text = "ask " + std::to_string(request.lease_batches().count());
      }
      for (const v1::BatchRange& range : request.return_batches().ranges()) {
        text += "return " + std::to_string(range.first()) + "+" + std::to_string(range.count());
      }
      sent.push_back(text);
    }
    return sent;
  }

  int wakes_ = 0;
  LeasedBatches batches_{/*ahead=*/2, [this] { ++wakes_; }};
};

TEST_F(LeasedBatchesTest, AsksAheadOnceSomebodyTakesBatches) {
  batches_.StreamOpened(DataWelcome({}));
  EXPECT_THAT(Sent(), IsEmpty()) << "nobody has asked for any";
  EXPECT_THAT(TakeNow(1), IsEmpty());
  EXPECT_EQ(wakes_, 1);
  EXPECT_THAT(Sent(), ElementsAre("ask 3"));
  EXPECT_THAT(Sent(), IsEmpty()) << "one request at a time";
  batches_.OnLease(LeaseOf({4, 5, 9}));
  EXPECT_THAT(TakeNow(2), ElementsAre(4, 5));
  EXPECT_THAT(Sent(), ElementsAre("ask 3"));
  EXPECT_THAT(TakeNow(2), ElementsAre(9));
}

TEST_F(LeasedBatchesTest, WaitsUntilThereIsOneAndSaysWhenThereAreNone) {
  batches_.StreamOpened(DataWelcome({}));
  // Whatever is asked for is answered with these.
  const auto take = [&](const std::vector<int64_t>& answer) {
    auto taken = std::async(std::launch::async,
                            [&] { return batches_.Take(3, absl::InfiniteDuration()).value(); });
    while (taken.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      if (!Sent().empty()) batches_.OnLease(LeaseOf(answer));
    }
    return taken.get();
  };
  EXPECT_THAT(take({7}), ElementsAre(7));
  EXPECT_THAT(take({}), IsEmpty());
  EXPECT_THAT(Sent(), IsEmpty()) << "nothing more is asked for";
}

TEST_F(LeasedBatchesTest, ARegainedConnectionSaysWhatTheWorkerHas) {
  batches_.StreamOpened(DataWelcome({1, 2}));
  EXPECT_THAT(TakeNow(1), ElementsAre(1));
  EXPECT_THAT(Sent(), ElementsAre("ask 2"));
  batches_.StreamEnded();
  EXPECT_THAT(Sent(), IsEmpty());
  // What was asked for was given, and not told; 1 is being computed.
  batches_.StreamOpened(DataWelcome({1, 2, 3, 4}));
  EXPECT_THAT(TakeNow(5), ElementsAre(2, 3, 4));
  batches_.Pushed({1});
  batches_.StreamEnded();
  // Others have what it had.
  batches_.StreamOpened(DataWelcome({}));
  EXPECT_THAT(TakeNow(5), IsEmpty());
}

TEST_F(LeasedBatchesTest, GivesBackWhatIsNotPushed) {
  batches_.StreamOpened(DataWelcome({1, 2, 3, 4}));
  EXPECT_THAT(TakeNow(4), ElementsAre(1, 2, 3, 4));
  batches_.Return({2, 3, 7});
  EXPECT_THAT(Sent(), ElementsAre("return 2+2", "ask 6"));
  batches_.Return({4});
  batches_.StreamEnded();
  // Its lease has ended meanwhile.
  batches_.StreamOpened(DataWelcome({1}));
  EXPECT_THAT(Sent(), ElementsAre("ask 6"));
}

TEST_F(LeasedBatchesTest, ANewTimelineEndsAllLeases) {
  batches_.StreamOpened(DataWelcome({1, 2, 3}));
  EXPECT_THAT(TakeNow(1), ElementsAre(1));
  batches_.OnTimeline(2);
  EXPECT_THAT(TakeNow(1), IsEmpty());
  batches_.OnLease(LeaseOf({2}, /*timeline=*/1));
  EXPECT_THAT(TakeNow(1), IsEmpty()) << "it is of the timeline before";
  batches_.OnLease(LeaseOf({1, 2}, /*timeline=*/2));
  EXPECT_THAT(TakeNow(2), ElementsAre(1, 2));
}

TEST_F(LeasedBatchesTest, ARolledBackPushTakesAllThatWasTakenWithIt) {
  batches_.StreamOpened(DataWelcome({1, 2, 3}));
  EXPECT_THAT(TakeNow(2), ElementsAre(1, 2));
  batches_.RolledBack();
  EXPECT_THAT(Sent(), ElementsAre("return 1+2", "ask 3"));
  EXPECT_THAT(TakeNow(3), ElementsAre(3));
}

TEST_F(LeasedBatchesTest, HoweverManyAreWantedItAsksForWhatItMayHave) {
  batches_.StreamOpened(DataWelcome({}));
  EXPECT_THAT(TakeNow(std::numeric_limits<int64_t>::max()), IsEmpty());
  EXPECT_THAT(Sent(), ElementsAre("ask 100"));
}

TEST_F(LeasedBatchesTest, WhatIsRefusedIsGivenBack) {
  batches_.StreamOpened(DataWelcome({1, 2, 3}));
  EXPECT_THAT(TakeNow(2), ElementsAre(1, 2));
  // One of them is another worker's by now, and the server alone knows which.
  batches_.Refused({1, 2});
  EXPECT_THAT(Sent(), ElementsAre("return 1+2", "ask 3"));
}

// The server forgets with a duplicate whatever it names, too.
TEST_F(LeasedBatchesTest, WhatCameBackBeforeItsPushIsAnsweredGoesWithIt) {
  batches_.StreamOpened(DataWelcome({1}));
  EXPECT_THAT(TakeNow(1), ElementsAre(1));
  batches_.StreamEnded();
  batches_.StreamOpened(DataWelcome({}));
  batches_.OnLease(LeaseOf({1, 2}));
  batches_.Pushed({1});
  EXPECT_THAT(TakeNow(2), ElementsAre(2));
}

TEST_F(LeasedBatchesTest, SaysWhyThereAreNone) {
  v1::Welcome welcome;
  batches_.StreamOpened(welcome);
  EXPECT_EQ(ReasonOf(batches_.Take(1, absl::InfiniteDuration()).status()), "NO_DATA_SET");
  EXPECT_EQ(batches_.Take(0, absl::InfiniteDuration()).status().message(),
            "count: 0, at least 1 expected");
  batches_.Fail(absl::NotFoundError("it was deleted"));
  EXPECT_TRUE(absl::IsNotFound(batches_.Take(1, absl::InfiniteDuration()).status()));
}

}  // namespace
}  // namespace gradd
