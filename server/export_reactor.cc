#include "server/export_reactor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/checkpoint_catalog.h"
#include "core/run/run_past.h"
#include "gradd/state/v1/run_state.pb.h"
#include "server/address.h"
#include "server/status.h"

namespace gradd {
namespace {

// Far below the 1 MiB that is promised: so much lies in memory twice for each caller.
constexpr int64_t kPieceBytes = int64_t{512} << 10;
// How often a checkpoint may be gone again before it could be opened, as newer ones were made.
constexpr int kAttempts = 3;

absl::Status NoStateDirectory(absl::string_view name) {
  return Error(absl::StatusCode::kFailedPrecondition, "NO_STATE_DIRECTORY",
               absl::StrCat(name,
                            " is not kept on a disk, so that there is no checkpoint of it: the "
                            "server has no --state-dir, or it is a trial; gradctl export "
                            "--parameters-only, or Pull, gives its parameters"));
}

}  // namespace

ExportReactor::ExportReactor(const Transfers& transfers, grpc::CallbackServerContext* context,
                             const v1::ExportRunRequest& request)
    : transfers_(transfers),
      context_(context),
      request_(request),
      watched_(transfers.watch->Add([context] { context->TryCancel(); })),
      link_(std::make_shared<Link>(this)) {
  watched_->Stop();
  link_->Use([this](ExportReactor*) {
    auto ticket = transfers_.registry->callers().pulls.Take(CallerOf(context_->peer()));
    if (!ticket.ok()) return End(ticket.status());
    ticket_ = *std::move(ticket);
    link_->UseOn(transfers_.io.get(), [](ExportReactor* self) {
      if (const absl::Status begun = self->Begin(); !begun.ok()) self->End(begun);
    });
  });
}

absl::Status ExportReactor::Begin() {
  const auto run = transfers_.registry->Find(request_.name());
  GRADD_RETURN_IF_ERROR(run.status());
  if (transfers_.runs != nullptr) checkpointer_ = transfers_.runs->CheckpointerOf(*run);
  if (checkpointer_ == nullptr) return NoStateDirectory(request_.name());
  claim_ = transfers_.registry->budget().Take(MemoryUse::kScratch, 2 * kPieceBytes);
  if (claim_ == nullptr) {
    return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                 absl::StrCat("the server has no memory left for one more export; it takes ",
                              2 * kPieceBytes, " bytes"));
  }
  if (request_.has_step()) {
    Open(FindKept());
  } else {
    Ask();
  }
  return absl::OkStatus();
}

absl::StatusOr<RunFolder::Checkpoint> ExportReactor::FindKept() const {
  state::v1::RunState state;
  const Run& run = *checkpointer_->run();
  run.WriteState(&state);
  RunPast past;
  past.Read(state.past()).IgnoreError();
  const auto found = CheckpointCatalog(run.run_id(), checkpointer_->checkpoints(), past)
                         .Find("step", request_.step(), request_.timeline());
  GRADD_RETURN_IF_ERROR(found.status());
  return RunFolder::Checkpoint{found->timeline(), found->step()};
}

void ExportReactor::Ask() {
  ++asked_;
  awaits_ = true;
  checkpointer_->Request(
      [link = link_, io = transfers_.io](const absl::StatusOr<RunFolder::Checkpoint>& made) {
        // It may be called within Request().
        link->UseOn(io.get(), [made](ExportReactor* self) {
          self->awaits_ = false;
          self->Open(made);
        });
      });
}

void ExportReactor::Open(const absl::StatusOr<RunFolder::Checkpoint>& checkpoint) {
  if (!checkpoint.ok()) return End(checkpoint.status());
  if (finished_) return;
  const RunFolder& folder = checkpointer_->log()->folder();
  auto file = folder.files().OpenToRead(folder.CheckpointPath(*checkpoint));
  if (file.status().code() == absl::StatusCode::kNotFound) {
    if (!request_.has_step() && asked_ < kAttempts) return Ask();
    return End(Error(absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND",
                     absl::StrCat("the checkpoint of step ", checkpoint->step, " of ",
                                  request_.name(), " was removed just now")));
  }
  if (!file.ok()) return End(file.status());
  file_ = *std::move(file);
  message_.set_total_bytes(file_->size());
  message_.set_step(checkpoint->step);
  message_.set_timeline(checkpoint->timeline);
  SendNext();
}

void ExportReactor::SendNext() {
  if (cancelled_.load()) return End(absl::CancelledError());
  if (sent_ == file_->size()) return End(absl::OkStatus());
  const int64_t bytes = std::min(kPieceBytes, file_->size() - sent_);
  std::string& data = *message_.mutable_data();
  data.resize(static_cast<size_t>(bytes));
  if (const absl::Status read = file_->Read(sent_, bytes, data.data()); !read.ok()) {
    return End(read);
  }
  sent_ += bytes;
  watched_->Renew();
  StartWrite(&message_);
}

void ExportReactor::End(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  watched_->Stop();
  file_.reset();
  // Whoever hears of the end may begin again.
  message_ = v1::ExportRunResponse();
  claim_.reset();
  ticket_ = CallerShares::Ticket();
  Finish(ToGrpcStatus(status, context_));
}

void ExportReactor::OnWriteDone(bool ok) {
  watched_->Stop();
  link_->UseOn(transfers_.io.get(), [ok](ExportReactor* self) {
    self->message_.Clear();
    if (!ok) return self->End(absl::CancelledError());
    self->SendNext();
  });
}

void ExportReactor::OnCancel() {
  cancelled_.store(true);
  // A checkpoint may be long in coming.
  link_->UseOn(transfers_.io.get(), [](ExportReactor* self) {
    if (self->awaits_) self->End(absl::CancelledError());
  });
}

void ExportReactor::OnDone() {
  link_->End();
  delete this;
}

}  // namespace gradd
