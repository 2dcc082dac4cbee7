#ifndef GRADD_WORKER_EVALUATION_CLIENT_H_
#define GRADD_WORKER_EVALUATION_CLIENT_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gradd/v1/run_service.grpc.pb.h"
#include "worker/training_session.h"

namespace gradd {

// How evaluations reach the server.
struct EvaluationClientOptions {
  std::string server;  // As in SessionOptions.
  std::string run;     // Run id or `runs/{run_id}`.
  // A call that finds no server (UNAVAILABLE) is made again, with growing pauses, until this
  // much time has passed since the first try.
  absl::Duration give_up_after = absl::Minutes(5);
  absl::Duration initial_backoff = absl::Milliseconds(100);
  // Longest time for a single try.
  absl::Duration call_deadline = absl::Seconds(60);
  // Set from elsewhere: do not try again. May be null.
  const std::atomic<bool>* stop = nullptr;
};

// EvaluationChannel over gRPC.
class EvaluationClient : public EvaluationChannel {
 public:
  explicit EvaluationClient(EvaluationClientOptions options);

  // DATA_LOSS when the chunks do not cover `parameters` in order and at one step.
  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) override;
  absl::Status Report(const v1::Evaluation& evaluation) override;

  // The run, without whose policy and data set a worker cannot know what suits it.
  absl::StatusOr<v1::Run> GetRun();

 private:
  absl::Status Retry(const std::function<absl::Status(grpc::ClientContext*)>& call) const;
  absl::StatusOr<int64_t> PullOnce(grpc::ClientContext* context, absl::Span<float> parameters);

  const EvaluationClientOptions options_;
  absl::Status address_;  // Whether options_.server can be one.
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::RunService::Stub> runs_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_EVALUATION_CLIENT_H_
