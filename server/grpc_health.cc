#include "server/grpc_health.h"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>
#include <chrono>

namespace gradd {
namespace {

constexpr absl::Duration kAskInterval = absl::Seconds(1);
constexpr absl::Duration kAnswerPatience = absl::Seconds(5);
constexpr std::chrono::seconds kAnswerDeadline{2};
constexpr absl::Duration kAnswerTimeout = absl::Seconds(3);

struct Question {
  explicit Question(const std::shared_ptr<grpc::Channel>& channel) : stub(channel) {}

  grpc::GenericStub stub;
  grpc::ClientContext context;
  // An empty HealthCheckRequest, which asks about the server as a whole, has no bytes.
  grpc::Slice nothing;
  grpc::ByteBuffer request{&nothing, 1};
  grpc::ByteBuffer response;
};

}  // namespace

GrpcHealth::Ask GrpcHealth::Through(const std::shared_ptr<grpc::Channel>& channel) {
  return [channel](std::function<void(bool)> done) {
    const auto question = std::make_shared<Question>(channel);
    question->context.set_deadline(std::chrono::system_clock::now() + kAnswerDeadline);
    question->stub.UnaryCall(
        &question->context, "/grpc.health.v1.Health/Check", {}, &question->request,
        &question->response,
        [question, done = std::move(done)](const grpc::Status& status) { done(status.ok()); });
  };
}

void GrpcHealth::Stop() {
  {
    MutexLock lock(&ask_mutex_);
    stopped_ = true;
  }
  MutexLock lock(&state_->mutex);
  while (state_->asking && state_->answered.WaitFor(&state_->mutex, kAnswerTimeout)) {
  }
}

void GrpcHealth::Tick() {
  MutexLock asking(&ask_mutex_);
  if (stopped_) return;
  {
    MutexLock lock(&state_->mutex);
    const absl::Duration now = state_->clock->Elapsed();
    if (state_->asking || now - state_->asked < kAskInterval) return;
    state_->asking = true;
    state_->asked = now;
    state_->waits_since = std::min(state_->waits_since, now);
  }
  ask_([state = state_](bool answered) {
    MutexLock lock(&state->mutex);
    state->asking = false;
    state->answered.NotifyAll();
    if (answered) state->waits_since = absl::InfiniteDuration();
  });
}

bool GrpcHealth::healthy() const {
  MutexLock lock(&state_->mutex);
  return state_->clock->Elapsed() - state_->waits_since < kAnswerPatience;
}

}  // namespace gradd
