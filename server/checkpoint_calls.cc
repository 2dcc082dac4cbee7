#include "server/checkpoint_calls.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/durability/checkpoint_difference.h"
#include "core/durability/checkpoint_reader.h"
#include "core/run/run_past.h"
#include "core/run/run_restore.h"
#include "core/run/run_spec.h"
#include "server/status.h"
#include "server/unary_call.h"

namespace gradd {
namespace {

constexpr size_t kMaxRestoreIdBytes = 128;

}  // namespace

CheckpointCatalog CheckpointCalls::Kept::Catalog(state::v1::RunState* state) const {
  run->WriteState(state);
  RunPast past;
  past.Read(state->past()).IgnoreError();
  return CheckpointCatalog(run->run_id(), checkpointer->checkpoints(), past);
}

std::string CheckpointCalls::Kept::PathOf(const v1::Checkpoint& checkpoint) const {
  return checkpointer->log()->folder().CheckpointPath({checkpoint.timeline(), checkpoint.step()});
}

absl::StatusOr<CheckpointCalls::Kept> CheckpointCalls::Find(const std::string& name) {
  Kept kept;
  auto run = registry_.Find(name);
  GRADD_RETURN_IF_ERROR(run.status());
  kept.run = *std::move(run);
  if (runs_ == nullptr) {
    return Error(absl::StatusCode::kFailedPrecondition, "NO_STATE_DIRECTORY",
                 absl::StrCat("run \"", kept.run->run_id(),
                              "\" is in the server's memory only: the server has no state "
                              "directory (gradd --state-dir) to keep checkpoints in"));
  }
  GRADD_RETURN_IF_ERROR(kept.run->CheckChangeable());
  kept.checkpointer = runs_->CheckpointerOf(kept.run);
  if (kept.checkpointer != nullptr) return kept;
  return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
               absl::StrCat("run \"", kept.run->run_id(), "\" was deleted"));
}

grpc::ServerUnaryReactor* CheckpointCalls::Read(
    grpc::CallbackServerContext* context,
    std::function<void(grpc::ServerUnaryReactor* reactor)> task) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  threads_.Schedule([context, reactor, task = std::move(task)] {
    if (context->IsCancelled()) return reactor->Finish(grpc::Status::CANCELLED);
    task(reactor);
  });
  return reactor;
}

grpc::ServerUnaryReactor* CheckpointCalls::Make(grpc::CallbackServerContext* context,
                                                const v1::CheckpointRunRequest* request,
                                                v1::Checkpoint* response) {
  const auto kept = Find(request->name());
  if (!kept.ok()) return Done(context, kept.status());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  kept->checkpointer->Request([context, reactor, response,
                               kept = *kept](const absl::StatusOr<RunFolder::Checkpoint>& made) {
    absl::Status status = made.status();
    if (made.ok()) {
      state::v1::RunState state;
      const auto found = kept.Catalog(&state).Find("step", made->step, made->timeline);
      status = found.status();
      if (found.ok()) *response = *found;
    }
    reactor->Finish(ToGrpcStatus(status, context));
  });
  return reactor;
}

grpc::ServerUnaryReactor* CheckpointCalls::List(grpc::CallbackServerContext* context,
                                                const v1::ListCheckpointsRequest* request,
                                                v1::ListCheckpointsResponse* response) {
  const auto kept = Find(request->name());
  if (!kept.ok()) return Done(context, kept.status());
  state::v1::RunState state;
  const CheckpointCatalog catalog = kept->Catalog(&state);
  for (const v1::Checkpoint& checkpoint : catalog.all()) {
    *response->add_checkpoints() = checkpoint;
  }
  return Done(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* CheckpointCalls::Restore(grpc::CallbackServerContext* context,
                                                   const v1::RestoreRunRequest* request,
                                                   v1::RestoreRunResponse* response) {
  return Read(context, [this, context, request, response](grpc::ServerUnaryReactor* reactor) {
    const absl::Status begun = BeginRestore(context, *request, response, reactor);
    if (!begun.ok()) reactor->Finish(ToGrpcStatus(begun, context));
  });
}

absl::Status CheckpointCalls::BeginRestore(grpc::CallbackServerContext* context,
                                           const v1::RestoreRunRequest& request,
                                           v1::RestoreRunResponse* response,
                                           grpc::ServerUnaryReactor* reactor) {
  const auto kept = Find(request.name());
  GRADD_RETURN_IF_ERROR(kept.status());
  const auto who = Author(request.author(), context);
  GRADD_RETURN_IF_ERROR(who.status());
  GRADD_RETURN_IF_ERROR(
      CheckText("request_id", request.request_id(), kMaxRestoreIdBytes, "REQUEST_ID_INVALID"));
  const std::shared_ptr<Run> run = kept->run;
  state::v1::RunState state;
  const CheckpointCatalog catalog = kept->Catalog(&state);
  for (const state::v1::AnsweredRestore& answered : state.restores()) {
    if (request.request_id().empty() || answered.request_id() != request.request_id()) continue;
    GRADD_RETURN_IF_ERROR(RunRestore::CheckAnswered(request, answered.answer()));
    *response = answered.answer();
    FinishWhenDurable(run, reactor, context);
    return absl::OkStatus();
  }
  const auto found = catalog.Find("step", request.step(), request.timeline());
  GRADD_RETURN_IF_ERROR(found.status());
  const RunFolder& folder = kept->checkpointer->log()->folder();
  auto capture =
      ReadCheckpoint(&folder.files(), kept->PathOf(*found), registry_.environment(), state.uid());
  GRADD_RETURN_IF_ERROR(RunRestore::BesideThePresent(capture.status()));
  const auto restore = std::make_shared<RestoreRequest>();
  restore->capture = *std::move(capture);
  restore->request_id = request.request_id();
  UpdateRequest update;
  update.author = *who;
  update.restore = restore;
  update.receive = [context, reactor, response, restore, run, request, who = *who,
                    checkpointer = kept->checkpointer](const absl::StatusOr<v1::Run>& updated) {
    absl::Status status = updated.status();
    if (restore->answered_before) status = RunRestore::CheckAnswered(request, restore->answer);
    if (!status.ok()) return reactor->Finish(ToGrpcStatus(status, context));
    *response = restore->answer;
    if (!restore->answered_before) {
      LogInfo("run restored",
              {{"run", run->run_id()},
               {"by", who},
               {"step", absl::StrCat(response->step())},
               {"checkpoint_timeline", absl::StrCat(response->checkpoint_timeline())},
               {"from_step", absl::StrCat(response->from_step())},
               {"timeline", absl::StrCat(response->timeline())}});
      checkpointer->BeginAwaited();
    }
    FinishWhenDurable(run, reactor, context);
  };
  run->Update(std::move(update));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* CheckpointCalls::Fork(grpc::CallbackServerContext* context,
                                                const v1::ForkRunRequest* request,
                                                v1::Run* response) {
  return Read(context, [this, context, request, response](grpc::ServerUnaryReactor* reactor) {
    const absl::Status begun = BeginFork(context, *request, response, reactor);
    if (!begun.ok()) reactor->Finish(ToGrpcStatus(begun, context));
  });
}

absl::Status CheckpointCalls::BeginFork(grpc::CallbackServerContext* context,
                                        const v1::ForkRunRequest& request, v1::Run* response,
                                        grpc::ServerUnaryReactor* reactor) {
  GRADD_RETURN_IF_ERROR(ValidateRunId(request.run_id()));
  const auto who = Author(request.author(), context);
  GRADD_RETURN_IF_ERROR(who.status());
  std::shared_ptr<Run> made;
  bool is_new = false;
  const auto existing = registry_.Find(absl::StrCat("runs/", request.run_id()));
  state::v1::RunState present;
  if (existing.ok()) (*existing)->WriteState(&present);
  if (!request.request_id().empty() && present.request_id() == request.request_id()) {
    made = *existing;
  } else {
    const auto kept = Find(request.name());
    GRADD_RETURN_IF_ERROR(kept.status());
    state::v1::RunState state;
    const auto found = kept->Catalog(&state).Find("step", request.step(), request.timeline());
    GRADD_RETURN_IF_ERROR(found.status());
    const RunFolder& folder = kept->checkpointer->log()->folder();
    RunOrigin origin;
    auto capture =
        ReadCheckpoint(&folder.files(), kept->PathOf(*found), registry_.environment(), state.uid());
    GRADD_RETURN_IF_ERROR(capture.status());
    origin.capture = *std::move(capture);
    const RunFork fork = {request.run(), request.update_mask(), *who};
    origin.fork = &fork;
    auto created = registry_.Create(request.run_id(), origin.capture->state.spec(),
                                    request.request_id(), &origin);
    GRADD_RETURN_IF_ERROR(created.status());
    made = *std::move(created);
    is_new = true;
    LogInfo("run forked", {{"run", made->run_id()},
                           {"by", *who},
                           {"origin", kept->run->run_id()},
                           {"step", absl::StrCat(found->step())},
                           {"timeline", absl::StrCat(found->timeline())}});
  }
  if (const auto checkpointer = runs_ == nullptr ? nullptr : runs_->CheckpointerOf(made)) {
    checkpointer->BeginAwaited();
  }
  made->WhenDurable([this, context, reactor, response, made, is_new](const absl::Status& durable) {
    *response = made->Describe(Run::Detail::kFull);
    if (!durable.ok() && is_new) registry_.Remove(made.get());
    reactor->Finish(ToGrpcStatus(durable, context));
  });
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* CheckpointCalls::Diff(grpc::CallbackServerContext* context,
                                                const v1::DiffRunRequest* request,
                                                v1::DiffRunResponse* response) {
  return Read(context, [this, context, request, response](grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(ToGrpcStatus(DiffNow(context, *request, response), context));
  });
}

absl::Status CheckpointCalls::DiffNow(grpc::CallbackServerContext* context,
                                      const v1::DiffRunRequest& request,
                                      v1::DiffRunResponse* response) {
  const auto kept = Find(request.name());
  GRADD_RETURN_IF_ERROR(kept.status());
  state::v1::RunState state;
  const CheckpointCatalog catalog = kept->Catalog(&state);
  const auto first = catalog.Find("step", request.step(), request.timeline());
  GRADD_RETURN_IF_ERROR(first.status());
  const auto second = catalog.Find("other_step", request.other_step(), request.other_timeline());
  GRADD_RETURN_IF_ERROR(second.status());
  const RunFolder& folder = kept->checkpointer->log()->folder();
  auto difference =
      DiffCheckpoints(&folder.files(), kept->PathOf(*first), kept->PathOf(*second),
                      kept->run->layout().message(), [context] { return context->IsCancelled(); });
  GRADD_RETURN_IF_ERROR(difference.status());
  *response = *std::move(difference);
  *response->mutable_first() = *first;
  *response->mutable_second() = *second;
  return absl::OkStatus();
}

}  // namespace gradd
