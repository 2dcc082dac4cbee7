#include "server/trials_reactor.h"

#include <utility>

#include "server/address.h"

namespace gradd {

TrialsReactor::TrialsReactor(RunRegistry* registry, TickedStreams* streams, PeerWatch* watch,
                             grpc::CallbackServerContext* context,
                             const v1::RunTrialsRequest& request)
    : TickedReactor(streams, watch, context), registry_(registry) {
  Trials::Start(registry, request, CallerOf(context->peer()),
                [started = started_](absl::StatusOr<std::unique_ptr<Trials>> trials) {
                  MutexLock lock(&started->mutex);
                  started->trials = std::move(trials);
                });
}

// Deletes the trials, of which there may be gigabytes, on the pool.
TrialsReactor::~TrialsReactor() {
  registry_->pool()->Schedule([started = started_] {
    std::optional<absl::StatusOr<std::unique_ptr<Trials>>> trials;
    MutexLock lock(&started->mutex);
    trials.swap(started->trials);
  });
}

TrialsReactor::Next TrialsReactor::NextMessage(v1::RunTrialsResponse* message) {
  MutexLock lock(&started_->mutex);
  // Who sees the end may start the next ones: not before these are gone.
  if (started_->deleted.has_value()) {
    return *started_->deleted ? Next{false, started_->end} : Next{};
  }
  if (!started_->trials.has_value()) return {};
  if (!started_->trials->ok()) return {false, started_->trials->status()};
  Trials& trials = ***started_->trials;
  *message = trials.TakeNews();
  if (!message->names().empty() || !message->news().empty()) return {true, std::nullopt};
  const absl::Status alive = trials.CheckAlive();
  if (!trials.over() && alive.ok()) return {};
  started_->end = trials.over() ? absl::OkStatus() : alive;
  started_->deleted = false;
  std::shared_ptr<Trials> over = *std::move(*started_->trials);
  registry_->pool()->Schedule([started = started_, over = std::move(over)]() mutable {
    over.reset();
    MutexLock deleted(&started->mutex);
    started->deleted = true;
  });
  return {};
}

}  // namespace gradd
