#include "core/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace gradd {
namespace {

TEST(ThreadPoolTest, ParallelForCallsEveryIndexOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const int64_t count : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      pool.ParallelFor(count, [&](int64_t i) { ++calls[static_cast<size_t>(i)]; });
      for (const auto& call : calls) EXPECT_EQ(call, 1);
    }
  }
}

TEST(ThreadPoolTest, ParallelForFromAllThreadsOfThePoolAtOnceEnds) {
  std::atomic<int64_t> sum = 0;
  {
    ThreadPool pool(2);
    for (int task = 0; task < 20; ++task) {
      pool.Schedule([&] { pool.ParallelFor(50, [&](int64_t i) { sum += i; }); });
    }
  }
  EXPECT_EQ(sum, 20 * 49 * 50 / 2);
}

TEST(ThreadPoolTest, TasksNeverRunInTheCallerHoweverManyThereAre) {
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> in_caller = 0;
  std::atomic<int> done = 0;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 100'000; ++i) {
      pool.Schedule([&] {
        if (std::this_thread::get_id() == caller) ++in_caller;
        ++done;
      });
    }
  }
  EXPECT_EQ(in_caller, 0);
  EXPECT_EQ(done, 100'000);
}

TEST(ThreadPoolTest, TasksBeginInOrder) {
  std::vector<int> order;
  {
    ThreadPool pool(1);
    for (int i = 0; i < 100; ++i) pool.Schedule([&order, i] { order.push_back(i); });
  }
  std::vector<int> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

}  // namespace
}  // namespace gradd
