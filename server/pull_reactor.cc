#include "server/pull_reactor.h"

#include <grpcpp/support/proto_buffer_reader.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "server/address.h"
#include "server/chunks.h"
#include "server/status.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

bool ParsePullRequest(const grpc::ByteBuffer& bytes, v1::PullRequest* request) {
  grpc::ByteBuffer copy(bytes);  // Shares the slices; the reader wants it mutable.
  grpc::ProtoBufferReader reader(&copy);
  return reader.status().ok() && request->ParseFromZeroCopyStream(&reader);
}

SnapshotContents ContentsOf(v1::ParameterView view) {
  switch (view) {
    case v1::PARAMETER_VIEW_TRAINING:
      return SnapshotContents::kTraining;
    case v1::PARAMETER_VIEW_AVERAGE:
      return SnapshotContents::kAverage;
    default:
      return SnapshotContents::kEvaluation;
  }
}

}  // namespace

PullReactor::PullReactor(RunRegistry* registry, PeerWatch* watch,
                         grpc::CallbackServerContext* context, const grpc::ByteBuffer& request)
    : registry_(registry),
      context_(context),
      watched_(watch->Add([context] { context->TryCancel(); })) {
  if (const absl::Status started = Start(registry, request); !started.ok()) {
    MutexLock lock(&mutex_);  // For OnDone().
    End(ToGrpcStatus(started, context_));
  }
}

absl::Status PullReactor::Start(RunRegistry* registry, const grpc::ByteBuffer& bytes) {
  if (!ParsePullRequest(bytes, &request_)) {
    return Error(absl::StatusCode::kInvalidArgument, "REQUEST_MALFORMED",
                 "the bytes are no gradd.v1.PullRequest");
  }
  if (!v1::ParameterView_IsValid(request_.view())) {
    return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
                 absl::StrCat("view: ", static_cast<int>(request_.view()), " is no ParameterView"));
  }
  auto ticket = registry->callers().pulls.Take(CallerOf(context_->peer()));
  GRADD_RETURN_IF_ERROR(ticket.status());
  ticket_ = *std::move(ticket);
  auto run = registry->Find(request_.run());
  GRADD_RETURN_IF_ERROR(run.status());
  const SnapshotContents contents = ContentsOf(request_.view());
  GRADD_RETURN_IF_ERROR((*run)->CheckContents(contents));
  (*run)->RequestSnapshot(
      contents, [link = link_, run = *run](std::shared_ptr<const Snapshot> snapshot) {
        const absl::Status why_none = snapshot == nullptr ? run->LogFailure() : absl::OkStatus();
        link->Use([&](PullReactor* self) { self->Take(std::move(snapshot), why_none); });
      });
  return absl::OkStatus();
}

void PullReactor::Take(std::shared_ptr<const Snapshot> snapshot, const absl::Status& why_none) {
  MutexLock lock(&mutex_);
  if (finished_) return;
  if (snapshot == nullptr) {
    const absl::Status gone = why_none.ok()
                                  ? Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
                                          absl::StrCat("run \"", request_.run(), "\" was deleted"))
                                  : why_none;
    return End(ToGrpcStatus(gone, context_));
  }
  if (request_.has_newer_than_step() && snapshot->step <= request_.newer_than_step()) {
    return End(grpc::Status::OK);
  }
  hold_ = registry_->readers()->Add(VersionReaders::Kind::kPull, std::move(snapshot));
  Pump();
}

void PullReactor::End(const grpc::Status& status) {
  finished_ = true;
  hold_.reset();
  Finish(status);
}

void PullReactor::Pump() {
  const std::shared_ptr<const Snapshot> snapshot = hold_->snapshot();
  const bool all_sent = snapshot != nullptr && next_block_ == snapshot->parameters.size();
  if (snapshot == nullptr || all_sent) {
    const absl::Status end = all_sent ? absl::OkStatus() : VersionReaders::LostError(hold_->step());
    return End(ToGrpcStatus(end, context_));
  }
  const BlockChunk chunk = MakeBlockChunk(snapshot, next_block_);
  writing_bytes_ = SerializeParameterChunk(chunk.description, chunk.data);
  ++next_block_;
  StartWrite(&writing_bytes_);
}

void PullReactor::OnWriteDone(bool ok) {
  MutexLock lock(&mutex_);  // Also shows ThreadSanitizer that the constructor came before.
  watched_->Renew();
  writing_bytes_.Clear();
  if (ok) {
    Pump();
  } else {
    End(grpc::Status::CANCELLED);
  }
}

void PullReactor::OnCancel() {
  MutexLock lock(&mutex_);
  // Otherwise the write on its way says so.
  if (!finished_ && hold_ == nullptr) End(grpc::Status::CANCELLED);
}

void PullReactor::OnDone() {
  link_->End();
  // gRPC has ordered all that before this call; ThreadSanitizer sees it by the lock.
  mutex_.Lock();
  mutex_.Unlock();
  delete this;
}

}  // namespace gradd
