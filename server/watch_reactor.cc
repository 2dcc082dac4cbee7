#include "server/watch_reactor.h"

#include <utility>

#include "core/base/duration.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/address.h"

namespace gradd {
namespace {

// Whether something happened: what only passes with time, such as rates that fade away, is
// nothing.
bool Changed(v1::RunProgress before, v1::RunProgress after) {
  for (v1::RunProgress* progress : {&before, &after}) {
    progress->clear_elapsed();
    progress->clear_steps_per_second();
    progress->clear_examples_per_second();
    progress->clear_time_left();
    progress->clear_condition_time();
  }
  return !google::protobuf::util::MessageDifferencer::Equals(before, after);
}

absl::StatusOr<absl::Duration> IntervalOf(const v1::WatchRunRequest& request) {
  if (!request.has_interval()) return absl::Seconds(1);
  return ParseDuration("interval", request.interval(), absl::Milliseconds(100), absl::Hours(1));
}

}  // namespace

WatchReactor::WatchReactor(RunRegistry* registry, TickedStreams* streams, PeerWatch* watch,
                           grpc::CallbackServerContext* context, const v1::WatchRunRequest& request)
    : TickedReactor(streams, watch, context),
      registry_(registry),
      request_(request),
      ticket_(registry->callers().watches.Take(CallerOf(context->peer()))),
      interval_(IntervalOf(request)) {}

WatchReactor::Next WatchReactor::NextMessage(v1::RunProgress* message) {
  if (!ticket_.ok()) return {false, ticket_.status()};
  if (!interval_.ok()) return {false, interval_.status()};
  const absl::Duration now = registry_->clock().Elapsed();
  if (sent_.has_value() && now - sent_at_ < *interval_) return {};
  const auto run = registry_->Find(request_.name());
  if (!run.ok()) return {false, run.status()};
  if (!seen_.has_value()) seen_ = (*run)->Progress(&seen_at_);
  if (!(*run)->IsDurable(seen_at_)) return {};
  v1::RunProgress progress = *std::exchange(seen_, std::nullopt);
  if (sent_.has_value() && !Changed(*sent_, progress)) {
    if (sent_->state() != v1::RUN_STATE_FINISHED || request_.keep_watching()) return {};
    return {false, absl::OkStatus()};
  }
  *message = progress;
  sent_ = std::move(progress);
  sent_at_ = now;
  return {true, std::nullopt};
}

}  // namespace gradd
