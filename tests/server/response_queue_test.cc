#include "server/response_queue.h"

#include <gtest/gtest.h>

#include <memory>

namespace gradd {
namespace {

v1::TrainResponse Event(v1::RunEventKind kind, const char* run = "") {
  v1::TrainResponse response;
  response.mutable_event()->set_kind(kind);
  response.mutable_event()->set_run(run);
  return response;
}

TEST(ResponseQueueTest, OfEventsThatOvertakeEachOtherTheLastOneStays) {
  ResponseQueue queue;
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_PAUSED)));
    ASSERT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_RESUMED)));
  }
  ASSERT_EQ(queue.size(), 1U);
  EXPECT_EQ(queue.front().message.event().kind(), v1::RUN_EVENT_KIND_RESUMED);
}

TEST(ResponseQueueTest, OtherResponsesKeepTheirPlace) {
  ResponseQueue queue;
  v1::TrainResponse result;
  result.mutable_push_result()->set_sequence(1);
  ASSERT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_PAUSED)));
  ASSERT_TRUE(queue.Add(result));
  ASSERT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_RESUMED)));
  ASSERT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_STOPPING)));
  ASSERT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_PAUSED)));
  EXPECT_EQ(queue.size(), 5U);
  queue.pop_front();
  EXPECT_EQ(queue.front().message.push_result().sequence(), 1);
}

TEST(ResponseQueueTest, IsBounded) {
  ResponseQueue queue;
  for (size_t i = 0; i < ResponseQueue::kMaxResponses; ++i) {
    ASSERT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_TRIAL, "runs/x")));
  }
  EXPECT_FALSE(queue.Add(Event(v1::RUN_EVENT_KIND_TRIAL, "runs/x")));
  EXPECT_FALSE(queue.Add(nullptr, v1::ENCODING_FLOAT32));
  queue.pop_front();
  EXPECT_TRUE(queue.Add(Event(v1::RUN_EVENT_KIND_TRIAL, "runs/x")));
}

}  // namespace
}  // namespace gradd
