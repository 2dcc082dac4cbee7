#include "server/run_service.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/run/history_request.h"
#include "core/run/run_labels.h"
#include "core/run/run_log.h"
#include "core/run/run_spec.h"
#include "server/export_reactor.h"
#include "server/import_reactor.h"
#include "server/status.h"
#include "server/trials_reactor.h"
#include "server/unary_call.h"
#include "server/watch_reactor.h"

namespace gradd {
namespace {

constexpr int32_t kDefaultPageSize = 100;
constexpr size_t kMaxPageBytes = 1 << 20;  // The run beyond it is the last one.
constexpr int32_t kMaxPageSize = 1000;
constexpr int kMaxLostRuns = 100;
constexpr size_t kMaxReasonBytes = 200;

// Finds the run, lets `change` change it, and answers how it is then. The log gets `event`.
template <typename Change>
grpc::ServerUnaryReactor* ChangeRun(RunRegistry* registry, const std::string& name,
                                    const std::string& author, grpc::CallbackServerContext* context,
                                    v1::Run* response, absl::string_view event,
                                    const Change& change) {
  auto run = registry->Find(name);
  if (!run.ok()) return Done(context, run.status());
  auto who = Author(author, context);
  if (!who.ok()) return Done(context, who.status());
  if (absl::Status changed = change(run->get(), *who); !changed.ok()) return Done(context, changed);
  LogInfo(event, {{"run", (*run)->run_id()}, {"by", *who}});
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  FinishWhenDurable(*run, reactor, context, response);
  return reactor;
}

absl::Status List(const RunRegistry& registry, const v1::ListRunsRequest& request,
                  v1::ListRunsResponse* response) {
  if (request.page_size() < 0 || request.page_size() > kMaxPageSize) {
    return Error(
        absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
        absl::StrCat("page_size: ", request.page_size(), " is outside [0, ", kMaxPageSize, "]"));
  }
  // A token is the id after which the next page begins.
  if (!request.page_token().empty() && !ValidateRunId(request.page_token()).ok()) {
    return Error(absl::StatusCode::kInvalidArgument, "PAGE_TOKEN_INVALID",
                 "page_token: not one that ListRuns returned");
  }
  const int page_size = request.page_size() == 0 ? kDefaultPageSize : request.page_size();
  // By their ids; null: one that cannot be used.
  std::map<std::string, std::shared_ptr<Run>> runs;
  std::map<std::string, v1::Run> unusable;
  for (v1::Run& run : registry.Unusable()) {
    const std::string run_id = *ParseRunName(run.name());
    runs[run_id] = nullptr;
    unusable[run_id] = std::move(run);
  }
  for (std::shared_ptr<Run>& run : registry.All()) runs[run->run_id()] = std::move(run);
  std::string last;
  size_t bytes = 0;
  for (auto next = runs.upper_bound(request.page_token()); next != runs.end(); ++next) {
    if (response->runs_size() == page_size || bytes >= kMaxPageBytes) {
      response->set_next_page_token(last);
      break;
    }
    const auto& [run_id, run] = *next;
    v1::Run described = run == nullptr ? unusable[run_id] : run->Describe(Run::Detail::kSummary);
    if (!HasLabels(described.labels(), request.labels())) continue;
    *response->add_runs() = std::move(described);
    bytes += response->runs().rbegin()->ByteSizeLong();
    last = run_id;
  }
  return absl::OkStatus();
}

}  // namespace

grpc::ServerUnaryReactor* RunService::CreateRun(grpc::CallbackServerContext* context,
                                                const v1::CreateRunRequest* request,
                                                v1::Run* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  // Setting billions of parameters takes seconds.
  registry_->pool()->Schedule([this, reactor, context, request, response] {
    bool is_new = false;
    auto run = registry_->Create(request->run_id(), request->run(), request->request_id(),
                                 /*origin=*/nullptr, &is_new);
    if (!run.ok()) return reactor->Finish(ToGrpcStatus(run.status(), context));
    *response = (*run)->Describe(Run::Detail::kFull);
    (*run)->WhenDurable(
        [this, reactor, context, response, is_new, run = *run](const absl::Status& durable) {
          if (!durable.ok() && is_new) registry_->Remove(run.get());
          if (durable.ok()) {
            LogInfo("run created", {{"run", run->run_id()},
                                    {"by", context->peer()},
                                    {"parameters", absl::StrCat(response->parameter_count())}});
          }
          reactor->Finish(ToGrpcStatus(durable, context));
        });
  });
  return reactor;
}

grpc::ServerUnaryReactor* RunService::GetRun(grpc::CallbackServerContext* context,
                                             const v1::GetRunRequest* request, v1::Run* response) {
  auto run = registry_->Find(request->name());
  if (!run.ok()) return Done(context, run.status());
  *response = (*run)->Describe(Run::Detail::kFull);
  // Elsewhere, steps are shown as they are made.
  if (!response->journal()) return Done(context, absl::OkStatus());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  (*run)->WhenDurableOrStuck([reactor, response, run = *run](bool is_durable) {
    // Then it says what is wrong with the disk.
    if (!is_durable) *response = run->Describe(Run::Detail::kFull);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* RunService::ListRuns(grpc::CallbackServerContext* context,
                                               const v1::ListRunsRequest* request,
                                               v1::ListRunsResponse* response) {
  *response->mutable_server_start_time() = ToProto(past_->since);
  for (const RunsRecord::Run& run : past_->lost_runs) {
    if (response->lost_runs_size() == kMaxLostRuns) break;
    v1::LostRun& lost = *response->add_lost_runs();
    lost.set_name(absl::StrCat("runs/", run.run_id));
    lost.set_step(run.step);
  }
  return Done(context, List(*registry_, *request, response));
}

grpc::ServerUnaryReactor* RunService::UpdateRun(grpc::CallbackServerContext* context,
                                                const v1::UpdateRunRequest* request,
                                                v1::Run* response) {
  // The mask is valid where this is logged, and says nothing of any other kind.
  LogEntry::Fields fields = {{"fields", absl::StrJoin(request->update_mask().paths(), ",")}};
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  // Filling new slots takes seconds, too. Nobody waits here until the change is in effect.
  registry_->pool()->Schedule([this, context, reactor, request, response, fields] {
    auto run = registry_->Find(request->run().name());
    auto author = Author(request->author(), context);
    if (!run.ok() || !author.ok()) {
      return reactor->Finish(ToGrpcStatus(run.ok() ? author.status() : run.status(), context));
    }
    const auto answer = [context, reactor, response, fields, run = *run,
                         who = *author](const absl::StatusOr<v1::Run>& updated) {
      if (!updated.ok()) return reactor->Finish(ToGrpcStatus(updated.status(), context));
      LogEntry::Fields all = {{"run", run->run_id()}, {"by", who}};
      all.insert(all.end(), fields.begin(), fields.end());
      LogInfo("run updated", all);
      *response = *updated;
      FinishWhenDurable(run, reactor, context);
    };
    (*run)->Update({request->run(), request->update_mask(), *author, answer});
  });
  return reactor;
}

grpc::ServerUnaryReactor* RunService::DeleteRun(grpc::CallbackServerContext* context,
                                                const v1::DeleteRunRequest* request,
                                                google::protobuf::Empty* /*response*/) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  // So does giving the memory back.
  registry_->pool()->Schedule([this, reactor, context, request] {
    const auto run = registry_->Find(request->name());
    v1::RunProgress progress;
    if (run.ok()) progress = (*run)->Progress();
    const auto answer = [=](const absl::Status& deleted) {
      if (!deleted.ok()) return reactor->Finish(ToGrpcStatus(deleted, context));
      LogInfo("run deleted", {{"run", request->name().substr(sizeof("runs/") - 1)},
                              {"by", context->peer()},
                              {"step", absl::StrCat(progress.step())},
                              {"loss", progress.has_loss() ? absl::StrCat(progress.loss()) : "-"}});
      reactor->Finish(grpc::Status::OK);
    };
    registry_->Delete(request->name(), answer).IgnoreError();  // It is told.
  });
  return reactor;
}

grpc::ServerUnaryReactor* RunService::PauseRun(grpc::CallbackServerContext* context,
                                               const v1::PauseRunRequest* request,
                                               v1::Run* response) {
  return ChangeRun(registry_, request->name(), request->author(), context, response, "run paused",
                   [](Run* run, const std::string& author) { return run->Pause(author); });
}

grpc::ServerUnaryReactor* RunService::ResumeRun(grpc::CallbackServerContext* context,
                                                const v1::ResumeRunRequest* request,
                                                v1::Run* response) {
  return ChangeRun(registry_, request->name(), request->author(), context, response, "run resumed",
                   [](Run* run, const std::string& author) { return run->Resume(author); });
}

grpc::ServerUnaryReactor* RunService::FinishRun(grpc::CallbackServerContext* context,
                                                const v1::FinishRunRequest* request,
                                                v1::Run* response) {
  return ChangeRun(registry_, request->name(), request->author(), context, response,
                   "run finished early",
                   [request](Run* run, const std::string& author) -> absl::Status {
                     GRADD_RETURN_IF_ERROR(
                         CheckText("reason", request->reason(), kMaxReasonBytes, "REASON_INVALID"));
                     return run->Finish(author, request->reason());
                   });
}

grpc::ServerWriteReactor<v1::RunProgress>* RunService::WatchRun(
    grpc::CallbackServerContext* context, const v1::WatchRunRequest* request) {
  auto* const reactor = new WatchReactor(registry_, streams_, watch_, context, *request);
  streams_->Add(reactor);
  return reactor;
}

grpc::ServerWriteReactor<v1::RunTrialsResponse>* RunService::RunTrials(
    grpc::CallbackServerContext* context, const v1::RunTrialsRequest* request) {
  LogInfo("trials", {{"run", request->name().empty() ? "-" : request->name()},
                     {"by", context->peer()},
                     {"trials", absl::StrCat(request->trials_size())}});
  auto* const reactor = new TrialsReactor(registry_, streams_, watch_, context, *request);
  streams_->Add(reactor);
  return reactor;
}

grpc::ServerUnaryReactor* RunService::ReportEvaluation(grpc::CallbackServerContext* context,
                                                       const v1::ReportEvaluationRequest* request,
                                                       v1::ReportEvaluationResponse* /*response*/) {
  const auto run = registry_->Find(request->name());
  const absl::Status reported =
      run.ok() ? (*run)->ReportEvaluation(request->evaluation()) : run.status();
  if (!reported.ok()) return Done(context, reported);
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  FinishWhenDurable(*run, reactor, context);
  return reactor;
}

grpc::ServerUnaryReactor* RunService::CheckpointRun(grpc::CallbackServerContext* context,
                                                    const v1::CheckpointRunRequest* request,
                                                    v1::Checkpoint* response) {
  return checkpoints_.Make(context, request, response);
}

grpc::ServerUnaryReactor* RunService::ListCheckpoints(grpc::CallbackServerContext* context,
                                                      const v1::ListCheckpointsRequest* request,
                                                      v1::ListCheckpointsResponse* response) {
  return checkpoints_.List(context, request, response);
}

grpc::ServerUnaryReactor* RunService::RestoreRun(grpc::CallbackServerContext* context,
                                                 const v1::RestoreRunRequest* request,
                                                 v1::RestoreRunResponse* response) {
  return checkpoints_.Restore(context, request, response);
}

grpc::ServerUnaryReactor* RunService::ForkRun(grpc::CallbackServerContext* context,
                                              const v1::ForkRunRequest* request,
                                              v1::Run* response) {
  return checkpoints_.Fork(context, request, response);
}

grpc::ServerUnaryReactor* RunService::DiffRun(grpc::CallbackServerContext* context,
                                              const v1::DiffRunRequest* request,
                                              v1::DiffRunResponse* response) {
  return checkpoints_.Diff(context, request, response);
}

grpc::ServerUnaryReactor* RunService::GetHistory(grpc::CallbackServerContext* context,
                                                 const v1::GetHistoryRequest* request,
                                                 v1::History* response) {
  const auto selection = SelectionOf(*request);
  if (!selection.ok()) return Done(context, selection.status());
  const auto run = registry_->Find(request->name());
  if (run.ok()) *response = (*run)->ReadHistory(*selection);
  return Done(context, run.status());
}

grpc::ServerWriteReactor<v1::ExportRunResponse>* RunService::ExportRun(
    grpc::CallbackServerContext* context, const v1::ExportRunRequest* request) {
  return new ExportReactor(transfers_, context, *request);
}

grpc::ServerReadReactor<v1::ImportRunRequest>* RunService::ImportRun(
    grpc::CallbackServerContext* context, v1::Run* response) {
  return new ImportReactor(transfers_, context, response);
}

}  // namespace gradd
