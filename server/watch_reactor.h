#ifndef GRADD_SERVER_WATCH_REACTOR_H_
#define GRADD_SERVER_WATCH_REACTOR_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/run/run_registry.h"
#include "gradd/v1/run_service.pb.h"
#include "server/ticked_reactor.h"

namespace gradd {

// One WatchRun stream.
class WatchReactor final : public TickedReactor<v1::RunProgress> {
 public:
  WatchReactor(RunRegistry* registry, TickedStreams* streams, PeerWatch* watch,
               grpc::CallbackServerContext* context, const v1::WatchRunRequest& request);

 private:
  Next NextMessage(v1::RunProgress* message) override;

  RunRegistry* const registry_;
  const v1::WatchRunRequest request_;
  const absl::StatusOr<CallerShares::Ticket> ticket_;  // Of the caller's watches.
  const absl::StatusOr<absl::Duration> interval_;
  std::optional<v1::RunProgress> seen_;  // To be sent when that event is durable.
  int64_t seen_at_ = 0;
  std::optional<v1::RunProgress> sent_;
  absl::Duration sent_at_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_WATCH_REACTOR_H_
