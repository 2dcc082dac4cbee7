#include "core/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>

namespace gradd {
namespace {

TEST(MutexTest, KnowsWhetherTheThreadHoldsAny) {
  Mutex mutex;
  EXPECT_FALSE(Mutex::AnyHeld());
  {
    MutexLock lock(&mutex);
    EXPECT_TRUE(Mutex::AnyHeld());
    std::thread([] { EXPECT_FALSE(Mutex::AnyHeld()); }).join();
  }
  EXPECT_FALSE(Mutex::AnyHeld());
}

TEST(MutexTest, IsHeldAgainAfterAWait) {
  Mutex mutex;
  CondVar changed;
  bool done = false;
  std::thread other;
  {
    MutexLock lock(&mutex);
    other = std::thread([&] {
      MutexLock lock_of_other(&mutex);
      done = true;
      changed.NotifyAll();
    });
    while (!done) changed.Wait(&mutex);
    mutex.AssertHeld();
    EXPECT_FALSE(changed.WaitFor(&mutex, absl::Milliseconds(1)));
    mutex.AssertHeld();
  }
  other.join();
  MutexLock lock(&mutex);  // And it can be had again.
}

#if !defined(NDEBUG) && !defined(__SANITIZE_THREAD__)
// Hidden from the analysis, which would not compile it.
void LockTwice() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  Mutex mutex;
  mutex.Lock();
  mutex.Lock();
}

TEST(MutexDeathTest, AThreadThatWouldWaitForItselfEnds) {
  EXPECT_DEATH(LockTwice(), "would wait for itself");
}

TEST(MutexDeathTest, WhatIsSaidToBeHeldIs) {
  Mutex mutex;
  EXPECT_DEATH(mutex.AssertHeld(), "not held");
}
#endif

}  // namespace
}  // namespace gradd
