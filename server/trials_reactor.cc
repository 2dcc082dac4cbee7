#include "server/trials_reactor.h"

#include <utility>

namespace gradd {

TrialsReactor::TrialsReactor(RunRegistry* registry, TickedStreams* streams, PeerWatch* watch,
                             grpc::CallbackServerContext* context,
                             const v1::RunTrialsRequest& request)
    : TickedReactor(streams, watch, context) {
  Trials::Start(registry, request,
                [started = started_](absl::StatusOr<std::unique_ptr<Trials>> trials) {
                  MutexLock lock(&started->mutex);
                  started->trials = std::move(trials);
                });
}

TrialsReactor::Next TrialsReactor::NextMessage(v1::RunTrialsResponse* message) {
  MutexLock lock(&started_->mutex);
  if (!started_->trials.has_value()) return {};
  if (!started_->trials->ok()) return {false, started_->trials->status()};
  Trials& trials = ***started_->trials;
  *message = trials.TakeNews();
  if (!message->names().empty() || !message->news().empty()) return {true, std::nullopt};
  const absl::Status alive = trials.CheckAlive();
  if (!trials.over() && alive.ok()) return {};
  const absl::Status end = trials.over() ? absl::OkStatus() : alive;
  // Who sees the end may start the next ones.
  started_->trials->value().reset();
  return {false, end};
}

}  // namespace gradd
