#include "worker/evaluation_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/channel.h"
#include "client/pull.h"
#include "core/base/clock.h"

namespace gradd {
namespace {

constexpr absl::Duration kMaximumBackoff = absl::Seconds(2);

// gRPC's codes are Abseil's.
absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

std::string RunName(const std::string& run) {
  return absl::StartsWith(run, "runs/") ? run : "runs/" + run;
}

}  // namespace

EvaluationClient::EvaluationClient(EvaluationClientOptions options) : options_(std::move(options)) {
  const auto channel = MakeChannel(options_.server);
  address_ = channel.status();
  if (!channel.ok()) return;
  channel_ = *channel;
  runs_ = v1::RunService::NewStub(*channel);
}

absl::Status EvaluationClient::Retry(
    const std::function<absl::Status(grpc::ClientContext*)>& call) const {
  if (!address_.ok()) return address_;
  const absl::Duration start = Clock::Real()->Elapsed();
  absl::Duration backoff = options_.initial_backoff;
  while (true) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + options_.call_deadline));
    absl::Status status = call(&context);
    const absl::Duration elapsed = Clock::Real()->Elapsed() - start;
    const bool again = status.code() == absl::StatusCode::kUnavailable ||
                       status.code() == absl::StatusCode::kAborted;
    if (!again || elapsed + backoff > options_.give_up_after ||
        (options_.stop != nullptr && options_.stop->load())) {
      return status;
    }
    absl::SleepFor(backoff);
    backoff = std::min(2 * backoff, kMaximumBackoff);
  }
}

absl::StatusOr<int64_t> EvaluationClient::PullOnce(grpc::ClientContext* context,
                                                   absl::Span<float> parameters) {
  v1::PullRequest request;
  request.set_run(RunName(options_.run));
  request.set_view(v1::PARAMETER_VIEW_EVALUATION);
  Pulled pulled;
  absl::Status taken;
  const grpc::Status status = PullInto(channel_, request, context, parameters, &pulled, &taken);
  if (!taken.ok()) {
    return absl::Status(taken.code(),
                        absl::StrCat("parameters of ", request.run(), ": ", taken.message()));
  }
  if (!status.ok()) return FromGrpc(status);
  return pulled.step;
}

absl::StatusOr<int64_t> EvaluationClient::Pull(absl::Span<float> parameters) {
  int64_t step = 0;
  const absl::Status status = Retry([&](grpc::ClientContext* context) {
    const absl::StatusOr<int64_t> pulled = PullOnce(context, parameters);
    if (pulled.ok()) step = *pulled;
    return pulled.status();
  });
  if (!status.ok()) return status;
  return step;
}

absl::StatusOr<v1::Run> EvaluationClient::GetRun() {
  v1::GetRunRequest request;
  request.set_name(RunName(options_.run));
  v1::Run run;
  const absl::Status status = Retry([&](grpc::ClientContext* context) {
    return FromGrpc(runs_->GetRun(context, request, &run));
  });
  if (!status.ok()) return status;
  return run;
}

absl::Status EvaluationClient::Report(const v1::Evaluation& evaluation) {
  v1::ReportEvaluationRequest request;
  request.set_name(RunName(options_.run));
  *request.mutable_evaluation() = evaluation;
  return Retry([&](grpc::ClientContext* context) {
    v1::ReportEvaluationResponse response;
    return FromGrpc(runs_->ReportEvaluation(context, request, &response));
  });
}

}  // namespace gradd
