#ifndef GRADD_CTL_CLIENT_H_
#define GRADD_CTL_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/pull.h"
#include "core/base/file_system.h"
#include "core/run/run_labels.h"
#include "ctl/console.h"
#include "gradd/v1/run_service.grpc.pb.h"

namespace gradd::ctl {

// The commands' way to the server. Errors carry the server's reason; when it cannot be
// reached, they say where it was looked for. An interrupt ends every call.
class Client {
 public:
  // `address` as gRPC takes it; `timeout` bounds every call but Watch(), RunTrials() and Pull().
  Client(std::string address, absl::Duration timeout, Console* console);

  // Tried again a few times where the server is not available for a moment.
  absl::StatusOr<v1::Run> Create(const v1::CreateRunRequest& request);
  absl::StatusOr<v1::Run> Get(const std::string& name);
  // The same, not tried again.
  absl::StatusOr<v1::Run> GetOnce(const std::string& name);
  // All pages, of the runs with these labels.
  absl::StatusOr<v1::ListRunsResponse> List(const RunLabels& labels = {});
  // The runs that a command is for, once each: those named, or those with these labels. NOT_FOUND
  // where no run has them.
  absl::StatusOr<std::vector<std::string>> NamesOf(const std::vector<std::string>& runs,
                                                   const RunLabels& labels);
  absl::StatusOr<v1::History> GetHistory(const v1::GetHistoryRequest& request);
  absl::StatusOr<v1::Run> Update(const v1::UpdateRunRequest& request);
  absl::StatusOr<v1::Run> Pause(const v1::PauseRunRequest& request);
  absl::StatusOr<v1::Run> Resume(const v1::ResumeRunRequest& request);
  absl::StatusOr<v1::Run> Finish(const v1::FinishRunRequest& request);
  // See the methods of RunService.
  absl::StatusOr<v1::Checkpoint> Checkpoint(const v1::CheckpointRunRequest& request);
  absl::StatusOr<v1::ListCheckpointsResponse> ListCheckpoints(const std::string& name);
  absl::StatusOr<v1::RestoreRunResponse> Restore(const v1::RestoreRunRequest& request);
  absl::StatusOr<v1::Run> Fork(const v1::ForkRunRequest& request);
  absl::StatusOr<v1::DiffRunResponse> Diff(const v1::DiffRunRequest& request);
  // Not tried again: the second attempt could only find that the run is gone.
  absl::Status Delete(const std::string& name);

  // Calls `more` for every progress until the stream ends or it returns false: then OK.
  absl::Status Watch(const v1::WatchRunRequest& request,
                     const std::function<bool(const v1::RunProgress&)>& more);

  // Calls `more` for every response until the trials are over or it returns false, which ends them:
  // then OK. If a call that has just ended has left its trials for a moment, waits for their end;
  // if the run's workers are not there, a few seconds for them.
  absl::Status RunTrials(const v1::RunTrialsRequest& request,
                         const std::function<bool(const v1::RunTrialsResponse&)>& more);

  // Calls `take` for every chunk until the stream ends or `take` fails. `timeout` bounds the whole.
  absl::Status Pull(const v1::PullRequest& request, absl::Duration timeout, const TakeChunk& take);

  // Calls `take` for every part of the file until the stream ends or `take` fails. `timeout` bounds
  // the whole.
  absl::Status Export(const v1::ExportRunRequest& request, absl::Duration timeout,
                      const std::function<absl::Status(const v1::ExportRunResponse&)>& take);

  // Sends the file; `sent` is told how much of it. Tried again as Create(), from its beginning on.
  // `timeout` bounds the whole.
  absl::StatusOr<v1::Run> Import(const v1::ImportBegin& begin, const ReadableFile& file,
                                 absl::Duration timeout, const std::function<void(int64_t)>& sent);

  const std::string& address() const { return address_; }
  absl::Duration timeout() const { return timeout_; }

 private:
  template <typename Request, typename Response>
  using Method = grpc::Status (v1::RunService::Stub::*)(grpc::ClientContext*, const Request&,
                                                        Response*);

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Request, Response> method, const Request& request,
                                int attempts);
  // Whether the server is at something that has to be over before the run can be asked for; or,
  // where the call `creates` it, before it can be created.
  static bool IsUnderWay(const absl::Status& status, bool creates);

  // Connects if there is no connection yet, or if the last one was lost. A usage error if the
  // address cannot be one.
  absl::Status Connect();

  // Reads a stream to its end, or until `more` returns false, which cancels it: then OK.
  template <typename Response>
  absl::Status Read(grpc::ClientReader<Response>* reader, grpc::ClientContext* context,
                    const std::function<bool(const Response&)>& more);

  // One attempt of Import().
  absl::StatusOr<v1::Run> SendOnce(const v1::ImportBegin& begin, const ReadableFile& file,
                                   absl::Time deadline, absl::Duration timeout,
                                   const std::function<void(int64_t)>& sent);

  // The server needs a moment to see that a call was cancelled: until then it has these trials, and
  // the run that they hold.
  void WaitUntilGone(const std::string& held, const std::set<std::string>& trials);

  absl::Status ToStatus(const grpc::Status& status, const grpc::ClientContext& context,
                        absl::Duration timeout);

  const std::string address_;
  const absl::Duration timeout_;
  Console* const console_;
  bool lost_ = false;
  std::unique_ptr<v1::RunService::Stub> runs_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CLIENT_H_
