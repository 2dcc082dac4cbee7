#ifndef GRADD_SERVER_CHECKPOINT_CALLS_H_
#define GRADD_SERVER_CHECKPOINT_CALLS_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/durability/checkpoint_catalog.h"
#include "core/durability/durable_runs.h"
#include "core/run/run_registry.h"
#include "gradd/state/v1/run_state.pb.h"
#include "gradd/v1/checkpoint.pb.h"

namespace gradd {

// What the control plane does with checkpoints; see checkpoint.proto. What reads files does so on
// threads of its own: however long that takes, no log and no step waits for it.
class CheckpointCalls {
 public:
  // `registry` outlives this and its calls.
  explicit CheckpointCalls(RunRegistry* registry) : registry_(*registry) {}

  // Where the runs are kept, null: in memory only; it outlives all calls. Before the first one.
  void KeepIn(DurableRuns* runs) { runs_ = runs; }

  grpc::ServerUnaryReactor* Make(grpc::CallbackServerContext* context,
                                 const v1::CheckpointRunRequest* request, v1::Checkpoint* response);
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context,
                                 const v1::ListCheckpointsRequest* request,
                                 v1::ListCheckpointsResponse* response);
  grpc::ServerUnaryReactor* Restore(grpc::CallbackServerContext* context,
                                    const v1::RestoreRunRequest* request,
                                    v1::RestoreRunResponse* response);
  grpc::ServerUnaryReactor* Fork(grpc::CallbackServerContext* context,
                                 const v1::ForkRunRequest* request, v1::Run* response);
  grpc::ServerUnaryReactor* Diff(grpc::CallbackServerContext* context,
                                 const v1::DiffRunRequest* request, v1::DiffRunResponse* response);

 private:
  static constexpr int kReadingThreads = 2;

  // A run that is kept here.
  struct Kept {
    std::shared_ptr<Run> run;
    std::shared_ptr<Checkpointer> checkpointer;

    // With the run's state, in which its past is.
    CheckpointCatalog Catalog(state::v1::RunState* state) const;
    std::string PathOf(const v1::Checkpoint& checkpoint) const;
  };
  absl::StatusOr<Kept> Find(const std::string& name);
  // The call goes on there, unless it is cancelled by then.
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context,
                                 std::function<void(grpc::ServerUnaryReactor* reactor)> task);

  // OK: the call is answered later.
  absl::Status BeginRestore(grpc::CallbackServerContext* context,
                            const v1::RestoreRunRequest& request, v1::RestoreRunResponse* response,
                            grpc::ServerUnaryReactor* reactor);
  absl::Status BeginFork(grpc::CallbackServerContext* context, const v1::ForkRunRequest& request,
                         v1::Run* response, grpc::ServerUnaryReactor* reactor);
  absl::Status DiffNow(grpc::CallbackServerContext* context, const v1::DiffRunRequest& request,
                       v1::DiffRunResponse* response);

  RunRegistry& registry_;
  DurableRuns* runs_ = nullptr;
  ThreadPool threads_{kReadingThreads};  // Last: they end first.
};

}  // namespace gradd

#endif  // GRADD_SERVER_CHECKPOINT_CALLS_H_
