#include "core/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "core/base/mutex.h"

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

// What was done, in order. Thread safe.
class Diary {
 public:
  void Note(const std::string& what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    notes_.push_back(what);
  }
  std::vector<std::string> notes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return notes_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> notes_;
};

TEST(ThreadPoolTest, ShortWorkWaitsForOnePieceOfLongWork) {
  for (const int threads : {1, 2, 4}) {
    std::atomic<int64_t> pieces = 0;
    absl::Notification begun;
    absl::Notification scheduled;
    absl::Notification short_done;
    {
      std::atomic<bool> first = true;
      ThreadPool pool(threads);
      const auto other = pool.Share();
      pool.Schedule([&] {
        pool.ParallelFor(1000, [&](int64_t i) {
          if (first.exchange(false)) begun.Notify();
          scheduled.WaitForNotification();
          // It takes one piece's end to let the other one go on.
          if (i >= threads) short_done.WaitForNotification();
          ++pieces;
        });
      });
      begun.WaitForNotification();
      other->Schedule([&] { short_done.Notify(); });
      scheduled.Notify();
    }
    EXPECT_EQ(pieces, 1000);
  }
}

TEST(ThreadPoolTest, WorkOfTwoTakesTurnsPieceByPiece) {
  Diary diary;
  {
    absl::Notification go;
    ThreadPool pool(1);
    pool.Schedule([&] { go.WaitForNotification(); });
    for (const char* const name : {"a", "b"}) {
      const std::shared_ptr<Executor> share = pool.Share();
      share->Schedule(
          [&diary, share, name] { share->ParallelFor(4, [&](int64_t) { diary.Note(name); }); });
    }
    go.Notify();
  }
  EXPECT_EQ(diary.notes(), (std::vector<std::string>{"a", "b", "a", "b", "a", "b", "a", "b"}));
}

TEST(ThreadPoolTest, ManyTasksOfOneDoNotHoldUpAnother) {
  Diary diary;
  {
    absl::Notification go;
    ThreadPool pool(1);
    const auto one = pool.Share();
    const auto other = pool.Share();
    pool.Schedule([&] { go.WaitForNotification(); });
    for (int i = 0; i < 100; ++i) one->Schedule([&] { diary.Note("one"); });
    other->Schedule([&] { diary.Note("other"); });
    go.Notify();
  }
  ASSERT_EQ(diary.notes().size(), 101U);
  EXPECT_EQ(diary.notes()[1], "other");
}

TEST(ThreadPoolTest, LongWorkOfMoreThanThereAreThreadsAllGoesOn) {
  // Each waits in its first piece until all have begun: nobody has to be done first.
  constexpr int kTasks = 10;
  ThreadPool pool(2);
  std::vector<std::unique_ptr<Executor>> shares;
  std::atomic<int> begun = 0;
  absl::BlockingCounter done(kTasks);
  for (int task = 0; task < kTasks; ++task) {
    shares.push_back(pool.Share());
    shares.back()->Schedule([&] {
      ++begun;
      while (begun < kTasks) ThreadPool::Yield();
      done.DecrementCount();
    });
  }
  done.Wait();
  EXPECT_EQ(begun, kTasks);
}

TEST(ThreadPoolTest, NoMoreIsWorkedOnThanThereAreThreads) {
  constexpr int kThreads = 2;
  std::atomic<int> working = 0;
  std::atomic<int> most = 0;
  {
    ThreadPool pool(kThreads);
    for (int task = 0; task < 8; ++task) {
      pool.Share()->Schedule([&] {
        pool.ParallelFor(200, [&](int64_t) {
          const int now = ++working;
          for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
          }
          --working;
        });
      });
    }
  }
  EXPECT_GE(most, 1);
  EXPECT_LE(most, kThreads);
}

TEST(ThreadPoolTest, PiecesThatYieldThemselvesDoNotKeepTheirLoopFromItsEnd) {
  std::atomic<int> calls = 0;
  {
    ThreadPool pool(2);
    for (int task = 0; task < 6; ++task) {
      const std::shared_ptr<Executor> share = pool.Share();
      share->Schedule([&calls, share] {
        share->ParallelFor(20, [&](int64_t) {
          for (int i = 0; i < 5; ++i) ThreadPool::Yield();
          ++calls;
        });
      });
    }
  }
  EXPECT_EQ(calls, 6 * 20);
}

TEST(ThreadPoolTest, AThreadThatHoldsAMutexKeepsItsTurn) {
  Mutex mutex;
  Diary diary;
  {
    absl::Notification go;
    ThreadPool pool(1);
    const auto other = pool.Share();
    pool.Schedule([&] {
      go.WaitForNotification();
      MutexLock lock(&mutex);
      pool.ParallelFor(3, [&](int64_t) { diary.Note("kept"); });
    });
    other->Schedule([&] {
      MutexLock lock(&mutex);
      diary.Note("other");
    });
    go.Notify();
  }
  EXPECT_EQ(diary.notes(), (std::vector<std::string>{"kept", "kept", "kept", "other"}));
}

// Everybody wants one mutex for work that has several threads, in pieces with parts of their own.
TEST(ThreadPoolTest, WorkWithAMutexHeldEndsHoweverManyWantTheMutex) {
  for (int round = 0; round < 50; ++round) {
    Mutex mutex;
    std::atomic<int> calls = 0;
    {
      ThreadPool pool(2);
      for (int task = 0; task < 20; ++task) {
        const std::shared_ptr<Executor> share = pool.Share();
        share->Schedule([&, share] {
          MutexLock lock(&mutex);
          share->ParallelFor(4, [&](int64_t) {
            share->ParallelFor(2, [&](int64_t) { ++calls; });
            ThreadPool::Yield();
          });
        });
      }
    }
    ASSERT_EQ(calls, 20 * 4 * 2);
  }
}

TEST(ThreadPoolTest, AShareOutlivesTheThreads) {
  std::unique_ptr<Executor> share;
  {
    ThreadPool pool(2);
    share = pool.Share();
  }
  bool done = false;
  share->Schedule([&] { done = true; });
  EXPECT_TRUE(done);
  std::atomic<int> calls = 0;
  share->ParallelFor(10, [&](int64_t) { ++calls; });
  EXPECT_EQ(calls, 10);
}

}  // namespace
}  // namespace gradd
