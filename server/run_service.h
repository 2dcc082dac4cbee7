#ifndef GRADD_SERVER_RUN_SERVICE_H_
#define GRADD_SERVER_RUN_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "core/run/run_registry.h"
#include "gradd/v1/run_service.grpc.pb.h"
#include "server/checkpoint_calls.h"
#include "server/past.h"
#include "server/peer_watch.h"
#include "server/ticked_streams.h"
#include "server/transfers.h"

namespace gradd {

// The control plane on the wire. See run_service.proto.
class RunService : public v1::RunService::CallbackService {
 public:
  // All must outlive the service and its RPCs.
  RunService(RunRegistry* registry, TickedStreams* streams, PeerWatch* watch, const Past* past)
      : registry_(registry),
        streams_(streams),
        watch_(watch),
        past_(past),
        checkpoints_(registry) {}

  grpc::ServerUnaryReactor* CreateRun(grpc::CallbackServerContext* context,
                                      const v1::CreateRunRequest* request,
                                      v1::Run* response) override;
  grpc::ServerUnaryReactor* GetRun(grpc::CallbackServerContext* context,
                                   const v1::GetRunRequest* request, v1::Run* response) override;
  grpc::ServerUnaryReactor* ListRuns(grpc::CallbackServerContext* context,
                                     const v1::ListRunsRequest* request,
                                     v1::ListRunsResponse* response) override;
  grpc::ServerUnaryReactor* UpdateRun(grpc::CallbackServerContext* context,
                                      const v1::UpdateRunRequest* request,
                                      v1::Run* response) override;
  grpc::ServerUnaryReactor* DeleteRun(grpc::CallbackServerContext* context,
                                      const v1::DeleteRunRequest* request,
                                      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* PauseRun(grpc::CallbackServerContext* context,
                                     const v1::PauseRunRequest* request,
                                     v1::Run* response) override;
  grpc::ServerUnaryReactor* ResumeRun(grpc::CallbackServerContext* context,
                                      const v1::ResumeRunRequest* request,
                                      v1::Run* response) override;
  grpc::ServerUnaryReactor* FinishRun(grpc::CallbackServerContext* context,
                                      const v1::FinishRunRequest* request,
                                      v1::Run* response) override;
  grpc::ServerWriteReactor<v1::RunProgress>* WatchRun(grpc::CallbackServerContext* context,
                                                      const v1::WatchRunRequest* request) override;
  grpc::ServerWriteReactor<v1::RunTrialsResponse>* RunTrials(
      grpc::CallbackServerContext* context, const v1::RunTrialsRequest* request) override;
  grpc::ServerUnaryReactor* ReportEvaluation(grpc::CallbackServerContext* context,
                                             const v1::ReportEvaluationRequest* request,
                                             v1::ReportEvaluationResponse* response) override;
  grpc::ServerUnaryReactor* GetHistory(grpc::CallbackServerContext* context,
                                       const v1::GetHistoryRequest* request,
                                       v1::History* response) override;
  grpc::ServerUnaryReactor* CheckpointRun(grpc::CallbackServerContext* context,
                                          const v1::CheckpointRunRequest* request,
                                          v1::Checkpoint* response) override;
  grpc::ServerUnaryReactor* ListCheckpoints(grpc::CallbackServerContext* context,
                                            const v1::ListCheckpointsRequest* request,
                                            v1::ListCheckpointsResponse* response) override;
  grpc::ServerUnaryReactor* RestoreRun(grpc::CallbackServerContext* context,
                                       const v1::RestoreRunRequest* request,
                                       v1::RestoreRunResponse* response) override;
  grpc::ServerUnaryReactor* ForkRun(grpc::CallbackServerContext* context,
                                    const v1::ForkRunRequest* request, v1::Run* response) override;
  grpc::ServerUnaryReactor* DiffRun(grpc::CallbackServerContext* context,
                                    const v1::DiffRunRequest* request,
                                    v1::DiffRunResponse* response) override;
  grpc::ServerWriteReactor<v1::ExportRunResponse>* ExportRun(
      grpc::CallbackServerContext* context, const v1::ExportRunRequest* request) override;
  grpc::ServerReadReactor<v1::ImportRunRequest>* ImportRun(grpc::CallbackServerContext* context,
                                                           v1::Run* response) override;

  // Where the runs are kept, null: in memory only; `io` does what waits for the disk, also when
  // files go out and come in. Before the first RPC.
  void KeepIn(DurableRuns* runs, std::shared_ptr<Executor> io) {
    checkpoints_.KeepIn(runs);
    transfers_ = {registry_, watch_, std::move(io), runs};
  }

 private:
  RunRegistry* const registry_;
  TickedStreams* const streams_;
  PeerWatch* const watch_;
  const Past* const past_;
  CheckpointCalls checkpoints_;
  Transfers transfers_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_RUN_SERVICE_H_
