#ifndef GRADD_SERVER_WATCHERS_H_
#define GRADD_SERVER_WATCHERS_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>
#include <unordered_set>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/run/run_registry.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd {

class WatchReactor;

// All WatchRun streams of a server; the ticker drives them. Thread safe.
class Watchers {
 public:
  explicit Watchers(RunRegistry* registry) : registry_(registry) {}

  // Starts a stream for a request.
  grpc::ServerWriteReactor<v1::RunProgress>* Add(grpc::CallbackServerContext* context,
                                                 const v1::WatchRunRequest& request);
  // Sends what is due. To be called about ten times a second.
  void Tick();
  // Ends all streams: the server stops.
  void EndAll();

 private:
  friend class WatchReactor;
  void Remove(WatchReactor* reactor);

  RunRegistry* const registry_;
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_set<WatchReactor*> reactors_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_SERVER_WATCHERS_H_
