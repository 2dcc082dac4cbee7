#include "worker/trial_crew.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/mutex.h"

namespace gradd {
namespace {

TEST(TrialCrewTest, TrainsEachTrialOnceAndAtTheSameTime) {
  Mutex mutex;
  std::vector<std::string> trained;
  absl::Notification first_runs;
  absl::Notification second_runs;
  {
    TrialCrew crew([&](const std::string& run, const std::atomic<bool>*) {
      {
        MutexLock lock(&mutex);
        trained.push_back(run);
      }
      (run == "a" ? first_runs : second_runs).Notify();
      // Each waits for the other.
      (run == "a" ? second_runs : first_runs).WaitForNotification();
    });
    crew.Begin("a");
    first_runs.WaitForNotification();
    crew.Begin("a");
    crew.Begin("b");
    second_runs.WaitForNotification();
  }
  EXPECT_EQ(trained, (std::vector<std::string>{"a", "b"}));
}

TEST(TrialCrewTest, ATrialThatIsOverCanBeTrainedAgain) {
  std::atomic<int> trained{0};
  {
    TrialCrew crew([&](const std::string&, const std::atomic<bool>*) { ++trained; });
    while (trained.load() < 2) crew.Begin("a");
  }
  EXPECT_GE(trained.load(), 2);
}

TEST(TrialCrewTest, ItsEndStopsWhatIsBeingTrained) {
  bool stopped = false;
  {
    TrialCrew crew([&](const std::string&, const std::atomic<bool>* stop) {
      while (!stop->load()) {
      }
      stopped = true;
    });
    crew.Begin("a");
  }
  EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace gradd
