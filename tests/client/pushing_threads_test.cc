// A small push is begun by the thread that asks for it, which may be the session's own (a callback)
// or one beside which others take it back, leave, or see the session fail.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/session.h"
#include "core/base/mutex.h"
#include "tests/client/fake_train_server.h"
#include "tests/support/flaky_proxy.h"

namespace gradd {
namespace {

using Answer = absl::StatusOr<PushReport>;

// The thread that pushes sends them itself.
constexpr int64_t kSmall = 100;
// Several times as many as those: the session's thread is woken for it.
constexpr int64_t kLarge = 1 << 17;
// Only reached when something hangs.
constexpr std::chrono::seconds kPushPatience{30};

SessionOptions PushingOptions(const std::string& server) {
  SessionOptions options;
  options.server = server;
  options.run = "r";
  options.worker = "w";
  options.initial_backoff = absl::Milliseconds(1);
  options.maximum_backoff = absl::Milliseconds(4);
  return options;
}

// What became of a push; it is answered, whatever happens.
Answer AnswerOf(std::future<Answer> push) {
  if (push.wait_for(kPushPatience) != std::future_status::ready) {
    ADD_FAILURE() << "no answer";
    std::abort();  // What the push uses has to stay.
  }
  return push.get();
}

// The pushes of callbacks, and those who wait for them.
class CallbackPushes {
 public:
  void Add(std::future<Answer> push) {
    MutexLock lock(&mutex_);
    pushes_.push_back(std::move(push));
    changed_.NotifyAll();
  }
  // The answer of the push that was added after so many others.
  Answer Get(size_t index) {
    std::future<Answer> push;
    {
      MutexLock lock(&mutex_);
      while (pushes_.size() <= index) changed_.Wait(&mutex_);
      push = std::move(pushes_[index]);
    }
    return AnswerOf(std::move(push));
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::future<Answer>> pushes_ ABSL_GUARDED_BY(mutex_);
};

class PushingThreadsTest : public testing::TestWithParam<int64_t> {
 protected:
  const std::vector<float> gradient_ = std::vector<float>(static_cast<size_t>(GetParam()), 1);
};

// Each answer is followed by a trial, of which the session's own thread tells: that pushes next.
TEST_P(PushingThreadsTest, ACallbackMayPush) {
  constexpr int64_t kPushes = 50;
  FakeTrainServer server(Manners::kTells, GetParam());
  CallbackPushes pushes;
  std::atomic<Session*> opened{nullptr};
  std::atomic<int64_t> left{kPushes};
  SessionOptions options = PushingOptions(server.address());
  options.on_trial = [&](const std::string& run) {
    EXPECT_EQ(run, "runs/trial");
    if (left.fetch_sub(1) > 0) pushes.Add(opened.load()->Push({0, 1, 0}, gradient_, {}));
  };
  const std::unique_ptr<Session> session = *Session::Open(std::move(options));
  opened = session.get();
  const Answer first = AnswerOf(session->Push({0, 1, 0}, gradient_, {}));
  ASSERT_TRUE(first.ok()) << first.status();
  for (int64_t i = 0; i < kPushes; ++i) {
    const Answer answer = pushes.Get(static_cast<size_t>(i));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->sequence, i + 2);
    EXPECT_EQ(answer->outcome, v1::PUSH_OUTCOME_APPLIED);
  }
  EXPECT_TRUE(session->Leave().ok());
}

// The line that says so comes from the session's thread while it takes up the session again.
TEST_P(PushingThreadsTest, ACallbackMayPushWhenTheSessionIsRegained) {
  FakeTrainServer server(Manners::kAnswers, GetParam());
  FlakyProxy proxy(server.address());
  CallbackPushes pushes;
  std::atomic<Session*> opened{nullptr};
  SessionOptions options = PushingOptions(proxy.address());
  options.log = [&](const std::string& line) {
    if (line.find("regained") == std::string::npos) return;
    pushes.Add(opened.load()->Push({0, 1, 0}, gradient_, {}));
  };
  const std::unique_ptr<Session> session = *Session::Open(std::move(options));
  opened = session.get();
  for (int64_t i = 0; i < 10; ++i) {
    proxy.CutNow();
    const Answer answer = pushes.Get(static_cast<size_t>(i));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->sequence, i + 1);
  }
  EXPECT_TRUE(session->Leave().ok());
}

TEST_P(PushingThreadsTest, EachPushIsAnsweredBesideAborts) {
  FakeTrainServer server(Manners::kAnswers, GetParam());
  const std::unique_ptr<Session> session = *Session::Open(PushingOptions(server.address()));
  std::atomic<bool> done{false};
  std::thread aborts([&] {
    for (int i = 0; !done; ++i) {
      session->AbortPush();
      // Now at once, and now when the push has got on.
      for (int turn = 0; turn < i % 50; ++turn) std::this_thread::yield();
    }
  });
  int64_t applied = 0;
  for (int i = 0; i < 200; ++i) {
    const Answer answer = AnswerOf(session->Push({0, 1, 0}, gradient_, {}));
    ASSERT_TRUE(answer.ok()) << answer.status();
    if (answer->outcome == v1::PUSH_OUTCOME_APPLIED) ++applied;
    EXPECT_TRUE(answer->outcome == v1::PUSH_OUTCOME_APPLIED ||
                answer->outcome == v1::PUSH_OUTCOME_ABORTED)
        << v1::PushOutcome_Name(answer->outcome);
    EXPECT_EQ(session->next_sequence(), applied + 1);
  }
  done = true;
  aborts.join();
  // Nothing of the aborts is left for it.
  const Answer last = AnswerOf(session->Push({0, 1, 0}, gradient_, {}));
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->outcome, v1::PUSH_OUTCOME_APPLIED);
  EXPECT_EQ(last->sequence, applied + 1);
  EXPECT_TRUE(session->Leave().ok());
}

// The second push of two waits for the first.
TEST_P(PushingThreadsTest, EachPushIsAnsweredBesideALeave) {
  FakeTrainServer server(Manners::kAnswers, GetParam());
  for (int round = 0; round < 20; ++round) {
    const std::unique_ptr<Session> session = *Session::Open(PushingOptions(server.address()));
    std::atomic<int> pushed{0};
    std::thread pushes([&] {
      std::future<Answer> before = session->Push({0, 1, 0}, gradient_, {});
      while (true) {
        ++pushed;
        std::future<Answer> push = session->Push({0, 1, 0}, gradient_, {});
        const Answer answer = AnswerOf(std::exchange(before, std::move(push)));
        if (answer.ok()) continue;
        const absl::StatusCode code = answer.status().code();
        EXPECT_TRUE(code == absl::StatusCode::kFailedPrecondition ||
                    code == absl::StatusCode::kCancelled)
            << answer.status();
        EXPECT_EQ(AnswerOf(std::move(before)).status().code(),
                  absl::StatusCode::kFailedPrecondition);
        return;
      }
    });
    while (pushed < round) std::this_thread::yield();
    EXPECT_TRUE(session->Leave().ok());
    pushes.join();
  }
}

// The run is deleted under pushes and aborts.
TEST_P(PushingThreadsTest, EachPushIsAnsweredBesideAFailure) {
  FakeTrainServer server(Manners::kDeletes, GetParam());
  for (int round = 0; round < 20; ++round) {
    const std::unique_ptr<Session> session = *Session::Open(PushingOptions(server.address()));
    std::atomic<bool> done{false};
    std::thread others([&] {
      while (!done) session->AbortPush();
    });
    for (int i = 0;; ++i) {
      if (i == 20) done = true;
      const Answer answer = AnswerOf(session->Push({0, 1, 0}, gradient_, {}));
      if (answer.ok()) continue;  // It was taken back before it began.
      EXPECT_EQ(answer.status().code(), absl::StatusCode::kNotFound) << answer.status();
      break;
    }
    done = true;
    others.join();
    EXPECT_EQ(session->Leave().code(), absl::StatusCode::kNotFound);
  }
}

INSTANTIATE_TEST_SUITE_P(Elements, PushingThreadsTest, testing::Values(kSmall, kLarge),
                         [](const auto& row) { return row.param == kSmall ? "Small" : "Large"; });

}  // namespace
}  // namespace gradd
