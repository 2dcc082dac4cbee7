#include "core/run/worker_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/executor.h"
#include "core/run/push_header.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "core/run/run_spec.h"

namespace gradd {
namespace {

// Of a push that is coming in, what counts as something: so much, or such a part of the whole. A
// few bytes a second would hold up others as long as nothing at all.
constexpr size_t kLeastProgressBytes = size_t{64} << 10;
constexpr size_t kLeastProgressParts = 16;

absl::Status OutOfOrder(absl::string_view message) {
  return Error(absl::StatusCode::kFailedPrecondition, "REQUEST_OUT_OF_ORDER", message);
}

}  // namespace

WorkerSession::WorkerSession(RunRegistry* registry, SessionSink* sink, std::string address)
    : registry_(registry), address_(std::move(address)) {
  state_.sink = sink;
}

bool WorkerSession::Handle(v1::TrainRequest request, Payload data) {
  MutexLock lock(&mutex_);
  if (ended_) return false;
  GRADD_DCHECK(!held_.has_value(), "the request that waits would be lost");
  RenewLease();
  return Dispatch(std::move(request), std::move(data));
}

bool WorkerSession::Dispatch(v1::TrainRequest request, Payload data) {
  if (run_ == nullptr) {
    if (!request.has_join()) {
      EndWith(OutOfOrder("the first request of a stream must be join"));
      return false;
    }
    auto run = registry_->Find(request.join().run());
    if (!run.ok()) {
      EndWith(run.status());
      return false;
    }
    const absl::Status joined = (*run)->Join(shared_from_this(), request.join());
    if (!joined.ok()) {
      EndWith(joined);
      return false;
    }
    run_ = *std::move(run);
    return true;
  }
  switch (request.request_case()) {
    case v1::TrainRequest::kPush:
      return HandlePush(std::move(request), std::move(data));
    case v1::TrainRequest::kAbortPush:
      return HandleAbort(request.abort_push());
    case v1::TrainRequest::kHeartbeat:
      return true;
    case v1::TrainRequest::kLeaseBatches:
    case v1::TrainRequest::kReturnBatches:
      if (const absl::Status handled = run_->HandleBatches(this, request); !handled.ok()) {
        EndWith(handled);
        return false;
      }
      return true;
    case v1::TrainRequest::kLeave:
      run_->Leave(this);
      ended_ = true;
      return false;
    case v1::TrainRequest::kJoin:
      EndWith(OutOfOrder("a second join; a stream has one, as its first request"));
      return false;
    case v1::TrainRequest::REQUEST_NOT_SET:
      break;
  }
  EndWith(Error(absl::StatusCode::kInvalidArgument, "REQUEST_EMPTY",
                "a request has neither join, push, abort_push, lease_batches, return_batches, "
                "heartbeat nor leave"));
  return false;
}

void WorkerSession::NoteProgress(const v1::Push& push, size_t bytes) {
  const auto whole = static_cast<size_t>(run_->layout().element_count()) * sizeof(float);
  progress_bytes_ += bytes;
  if (!push.has_header() && !push.has_commit() &&
      progress_bytes_ < std::min(kLeastProgressBytes, whole / kLeastProgressParts)) {
    return;
  }
  progress_bytes_ = 0;
  last_part_ns_.store(absl::ToInt64Nanoseconds(registry_->clock().Elapsed()));
}

bool WorkerSession::HandlePush(v1::TrainRequest request, Payload data) {
  const v1::Push& push = request.push();
  NoteProgress(push, data.size_bytes());
  if (push.has_header()) {
    if (incoming_ != Incoming::kNone) {
      EndWith(OutOfOrder(absl::StrCat("push ", push.header().sequence(), " begins before push ",
                                      header_.sequence(), " is committed")));
      return false;
    }
    header_ = push.header();
    const auto admission = run_->BeginPush(this, &header_);
    if (admission.ok() && *admission == PushAdmission::kHold) {
      held_ = Held{std::move(request), std::move(data)};
      return false;
    }
    if (!admission.ok()) {
      Reject(admission.status());
    } else if (*admission == PushAdmission::kStage) {
      incoming_ = Incoming::kStaged;
      begun_at_ = registry_->clock().Elapsed();
      staging_time_ = absl::ZeroDuration();
      staged_ = std::make_shared<StagedPush>(header_, run_->layout());
    } else {
      incoming_ = Incoming::kIgnored;
      admission_ = *admission;
    }
  } else if (incoming_ == Incoming::kNone) {
    EndWith(OutOfOrder("a chunk without a push: the first chunk of a push carries its header"));
    return false;
  }
  HandleChunk(push, std::move(data));
  return true;
}

absl::Status WorkerSession::Stage(const v1::Push& push, Payload data) {
  if (push.gradient_is_shared()) {
    GRADD_RETURN_IF_ERROR(run_->StageSharedGradient(this, staged_.get()));
  }
  return push.has_chunk() ? staged_->Add(push.chunk(), std::move(data)) : absl::OkStatus();
}

void WorkerSession::HandleChunk(const v1::Push& push, Payload data) {
  if (incoming_ == Incoming::kStaged) {
    const absl::Duration begin = registry_->clock().Elapsed();
    const absl::Status staged = Stage(push, std::move(data));
    staging_time_ += registry_->clock().Elapsed() - begin;
    if (!staged.ok()) SkipOrReject(staged);
  }
  if (!push.has_commit()) return;
  if (incoming_ == Incoming::kStaged) {
    if (absl::Status totals = TakeTotals(push.commit(), &header_); totals.ok()) {
      staged_->SetTotals(header_);
    } else {
      SkipOrReject(totals);
    }
  }
  const bool want_parameters = push.commit().want_parameters();
  switch (std::exchange(incoming_, Incoming::kNone)) {
    case Incoming::kStaged:
      if (absl::Status complete = staged_->CheckComplete(); !complete.ok()) {
        Reject(complete);
        incoming_ = Incoming::kNone;
      } else {
        const absl::Duration now = registry_->clock().Elapsed();
        run_->CommitPush(shared_from_this(), std::move(staged_), want_parameters,
                         {now - begun_at_ - staging_time_, staging_time_, now});
      }
      break;
    case Incoming::kIgnored:
      run_->CommitIgnored(shared_from_this(), header_, admission_, want_parameters);
      break;
    case Incoming::kRejected:
    case Incoming::kNone:
      break;
  }
  staged_.reset();
}

bool WorkerSession::HandleAbort(const v1::AbortPush& abort) {
  if (abort.sequence() < 1) {
    EndWith(
        Error(absl::StatusCode::kInvalidArgument, "SEQUENCE_INVALID",
              absl::StrCat("abort_push.sequence: ", abort.sequence(), ", at least 1 expected")));
    return false;
  }
  last_part_ns_.store(absl::ToInt64Nanoseconds(registry_->clock().Elapsed()));
  if (incoming_ == Incoming::kNone || header_.sequence() != abort.sequence()) {
    run_->AbortWaiting(shared_from_this(), abort.sequence(), /*since_earlier=*/false);
    return true;
  }
  staged_.reset();
  // A push that was complete in an earlier session is to be taken back as what it is.
  const bool repeated = incoming_ == Incoming::kIgnored && admission_ == PushAdmission::kDuplicate;
  switch (std::exchange(incoming_, Incoming::kNone)) {
    case Incoming::kStaged:
    case Incoming::kIgnored:
      if (repeated && run_->AbortWaiting(shared_from_this(), abort.sequence(),
                                         /*since_earlier=*/true)) {
        break;
      }
      run_->CommitIgnored(shared_from_this(), header_, PushAdmission::kAborted,
                          /*want_parameters=*/false);
      break;
    case Incoming::kRejected:
    case Incoming::kNone:
      break;
  }
  return true;
}

void WorkerSession::SkipOrReject(const absl::Status& why) {
  if (ReasonOf(why) != "NON_FINITE" || !run_->SkipPush(this)) return Reject(why);
  incoming_ = Incoming::kIgnored;
  admission_ = PushAdmission::kSkipped;
  staged_.reset();
}

void WorkerSession::Reject(const absl::Status& why) {
  incoming_ = Incoming::kRejected;
  staged_.reset();
  run_->RejectPush(this, header_.sequence(), why);
}

void WorkerSession::EndWith(const absl::Status& status) {
  ended_ = true;
  staged_.reset();
  if (run_ != nullptr) {
    run_->FailSession(this, status);
  } else {
    state_.sink->End(status);
  }
}

void WorkerSession::RetryHeld() {
  MutexLock lock(&mutex_);
  if (!held_ || ended_) return;
  Held held = *std::exchange(held_, std::nullopt);
  if (HandlePush(std::move(held.request), std::move(held.data))) run_->ResumeReading(this);
}

void WorkerSession::DropIfInVain() {
  MutexLock lock(&mutex_);
  if (ended_ || incoming_ != Incoming::kStaged) return;
  const std::optional<PushAdmission> why = run_->ReturnIfInVain(this, header_);
  if (!why.has_value()) return;
  incoming_ = Incoming::kIgnored;
  admission_ = *why;
  staged_.reset();
}

void WorkerSession::DropForRoom() {
  MutexLock lock(&mutex_);
  if (ended_ || incoming_ != Incoming::kStaged) return;
  const StagingRoom::Claim claim = run_->TakeBackRoom(this);
  if (claim == nullptr) return;
  incoming_ = Incoming::kIgnored;
  admission_ = PushAdmission::kResend;
  staged_.reset();
}

void WorkerSession::RenewLease() {
  last_sign_ns_.store(absl::ToInt64Nanoseconds(registry_->clock().Elapsed()));
}

void WorkerSession::ParametersMove() { RenewLease(); }

void WorkerSession::ParametersSent() {
  std::shared_ptr<SessionHost> run;
  {
    MutexLock lock(&mutex_);
    run = run_;
  }
  if (run != nullptr) run->ParametersSent(this);
}

void WorkerSession::HalfClosed() {
  MutexLock lock(&mutex_);
  if (ended_) return;
  if (run_ != nullptr) {
    run_->HalfClose(this);
  } else {
    EndWith(absl::OkStatus());
  }
}

void WorkerSession::Disconnected() {
  std::shared_ptr<SessionHost> run;
  {
    MutexLock lock(&mutex_);
    ended_ = true;
    held_.reset();
    staged_.reset();
    run = std::move(run_);
  }
  if (run == nullptr) return;
  run->Disconnect(this);
  // With the last session of a deleted run goes all its memory: not here, on one of gRPC's threads.
  registry_->pool()->Schedule([run = std::move(run)] {});
}

}  // namespace gradd
