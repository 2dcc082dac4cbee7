#ifndef GRADD_SERVER_TRIALS_REACTOR_H_
#define GRADD_SERVER_TRIALS_REACTOR_H_

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "core/run/run_registry.h"
#include "core/run/trials.h"
#include "gradd/v1/run_service.pb.h"
#include "server/ticked_reactor.h"

namespace gradd {

// One RunTrials stream: its trials live as long as it does.
class TrialsReactor final : public TickedReactor<v1::RunTrialsResponse> {
 public:
  TrialsReactor(RunRegistry* registry, TickedStreams* streams, PeerWatch* watch,
                grpc::CallbackServerContext* context, const v1::RunTrialsRequest& request);
  ~TrialsReactor() override;

 private:
  // Where they are put when they are there, which may be after the stream's end.
  struct Started {
    Mutex mutex;
    std::optional<absl::StatusOr<std::unique_ptr<Trials>>> trials ABSL_GUARDED_BY(mutex);
    // Set when they are over: the trials are being deleted, or, with true, have been.
    std::optional<bool> deleted ABSL_GUARDED_BY(mutex);
    absl::Status end ABSL_GUARDED_BY(mutex);
  };

  Next NextMessage(v1::RunTrialsResponse* message) override;

  RunRegistry* const registry_;
  const std::shared_ptr<Started> started_ = std::make_shared<Started>();
};

}  // namespace gradd

#endif  // GRADD_SERVER_TRIALS_REACTOR_H_
