#ifndef GRADD_SERVER_GRPC_HEALTH_H_
#define GRADD_SERVER_GRPC_HEALTH_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace gradd {

// Whether a gRPC server answers, asked now and then: /healthz must not say that all is well of a
// server that is deaf. Thread safe.
class GrpcHealth {
 public:
  // Begins to ask; `done` is to be called with the answer, from any thread.
  using Ask = std::function<void(std::function<void(bool answered)> done)>;

  // `clock` must outlive it, and what `ask` has begun.
  GrpcHealth(const Clock* clock, Ask ask)
      : ask_(std::move(ask)), state_(std::make_shared<State>(clock)) {}

  // Asks by grpc.health.v1 through `channel`. Any answer will do: a server that stops says that it
  // does not serve.
  static Ask Through(const std::shared_ptr<grpc::Channel>& channel);

  // Asks about once a second. To be called about ten times a second.
  void Tick();

  // Asks no more when it returns. To be called before the server is shut down: gRPC 1.51 crashes
  // when a call begins on a channel within the process to a server that is.
  void Stop();

  // False once a question has been without an answer for five seconds, until there is one.
  bool healthy() const;

 private:
  // An answer may come after the end of this.
  struct State {
    explicit State(const Clock* clock_) : clock(clock_) {}

    const Clock* const clock;
    Mutex mutex;
    bool asking ABSL_GUARDED_BY(mutex) = false;
    absl::Duration asked ABSL_GUARDED_BY(mutex) = -absl::InfiniteDuration();
    // When the first of the questions was asked that have no answer.
    absl::Duration waits_since ABSL_GUARDED_BY(mutex) = absl::InfiniteDuration();
  };

  const Ask ask_;
  const std::shared_ptr<State> state_;
  Mutex ask_mutex_;  // Held while a question is asked; taken before the state's.
  bool stopped_ ABSL_GUARDED_BY(ask_mutex_) = false;
};

}  // namespace gradd

#endif  // GRADD_SERVER_GRPC_HEALTH_H_
