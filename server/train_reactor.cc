#include "server/train_reactor.h"

#include <spdlog/spdlog.h>

#include <new>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/check.h"
#include "core/run/run_log.h"
#include "server/address.h"
#include "server/chunks.h"
#include "server/status.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

// A worker awaits each response, so no honest one leaves so many unread.
constexpr size_t kMaxOutgoing = 256;
// How long a peer may take for what is on its way when its stream is to end without the rest.
constexpr absl::Duration kPartingPatience = absl::Seconds(5);

// Of the resource name of a run that was joined.
std::string RunIdOf(absl::string_view name) {
  return std::string(absl::StripPrefix(name, "runs/"));
}

}  // namespace

TrainReactor::TrainReactor(RunRegistry* registry, PeerWatch* watch,
                           grpc::CallbackServerContext* context)
    : context_(context), watched_(watch->Add([context] { context->TryCancel(); })) {
  {
    MutexLock lock(&waker_->mutex);
    waker_->reactor = this;
  }
  MutexLock lock(&mutex_);
  session_ = std::make_shared<WorkerSession>(registry, this, context->peer());
  auto ticket = registry->callers().unjoined_streams.Take(CallerOf(context->peer()));
  if (!ticket.ok()) {
    ending_ = true;
    end_status_ = ticket.status();
    Pump();
    return;
  }
  unjoined_ = *std::move(ticket);
  StartRead(&incoming_);
}

void TrainReactor::OnReadDone(bool ok) {
  const std::shared_ptr<WorkerSession> session = this->session();
  if (!ok) {
    session->HalfClosed();
    return;
  }
  grpc::ByteBuffer bytes;
  {
    MutexLock lock(&mutex_);
    bytes.Swap(&incoming_);
  }
  v1::TrainRequest request;
  Payload data;
  const absl::Status parsed = ParseTrainRequest(bytes, &request, &data);
  if (!parsed.ok()) {
    session->Disconnected();
    End(parsed);
    return;
  }
  const bool joins = request.has_join() && NoteJoin(request.join());
  const bool more = session->Handle(std::move(request), std::move(data));
  if (joins) {
    watched_->Stop();
    {
      MutexLock lock(&mutex_);
      unjoined_.reset();
    }
    LogJoin();
  }
  if (more) ResumeReading();
}

void TrainReactor::ResumeReading() {
  MutexLock lock(&mutex_);
  ReadNext();
}

void TrainReactor::ReadNext() {
  read_waits_ = outgoing_.size() >= kMaxOutgoing;
  if (!read_waits_) StartRead(&incoming_);
}

bool TrainReactor::same_host() const {
  const std::string peer = context_->peer();
  return absl::StartsWith(peer, "unix:") || absl::StartsWith(peer, "ipv4:127.") ||
         absl::StartsWith(peer, "ipv6:%5B::1%5D") || absl::StartsWith(peer, "ipv6:[::1]");
}

void TrainReactor::Send(v1::TrainResponse message) {
  MutexLock lock(&mutex_);
  welcome_ = welcome_ || message.has_welcome();
  outgoing_.push_back({std::move(message), nullptr});
  Pump();
}

void TrainReactor::SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) {
  MutexLock lock(&mutex_);
  outgoing_.push_back({{}, std::move(snapshot), encoding});
  Pump();
}

void TrainReactor::End(absl::Status status) {
  MutexLock lock(&mutex_);
  if (ending_) return;
  ending_ = true;
  end_status_ = std::move(status);
  Pump();
}

void TrainReactor::Abandon(absl::Status status) {
  {
    MutexLock lock(&mutex_);
    if (ending_) return;
    ending_ = true;
    end_status_ = std::move(status);
    outgoing_.clear();
    Pump();
    if (finished_) return;
  }
  // A write is on its way. It may be all but done: gRPC has yet to tell of a block that a worker
  // has taken when that worker leaves. Or it waits for the peer for ever.
  watched_->Expect(kPartingPatience);
}

void TrainReactor::Wake() {
  MutexLock lock(&mutex_);
  block_waits_ = false;
  Pump();
}

bool TrainReactor::NextBlockIsFinal(const Outgoing& next) {
  if (next.snapshot->progress == nullptr) return true;
  const bool final = next.snapshot->progress->Await(next.next_block, [waker = waker_] {
    MutexLock lock(&waker->mutex);
    if (waker->reactor != nullptr) waker->reactor->Wake();
  });
  block_waits_ = !final;
  return final;
}

void TrainReactor::Pump() {
  if (writing_ || block_waits_ || finished_) return;
  if (outgoing_.empty()) {
    if (!ending_) return;
    finished_ = true;
    Finish(ToGrpcStatus(end_status_, context_));
    return;
  }
  Outgoing& next = outgoing_.front();
  if (next.snapshot == nullptr) {
    what_ = Writing::kMessage;
    grpc::WriteOptions options;
    // Goes out together with the first block, in one system call.
    if (next.message.push_result().parameters_follow()) options.set_buffer_hint();
    writing_bytes_ = SerializeTrainResponse(next.message, Payload());
    outgoing_.pop_front();
    writing_ = true;
    StartWrite(&writing_bytes_, options);
    return;
  }
  GRADD_DCHECK(next.next_block < next.snapshot->parameters.size(),
               absl::StrCat("block ", next.next_block, " of ", next.snapshot->parameters.size()));
  if (!NextBlockIsFinal(next)) return;
  try {
    BlockChunk chunk =
        MakeBlockChunk(next.snapshot, next.next_block, next.encoding, buffers_.get());
    if (chunk.description.encoding() != next.encoding) session_->NoteWidenedChunk();
    v1::TrainResponse message;
    *message.mutable_parameters() = std::move(chunk.description);
    writing_bytes_ = SerializeTrainResponse(message, chunk.data);
  } catch (const std::bad_alloc&) {
    context_->TryCancel();  // The worker comes back, perhaps to more memory.
    outgoing_.clear();
    return;
  }
  const bool last = ++next.next_block == next.snapshot->parameters.size();
  what_ = last ? Writing::kLastBlock : Writing::kBlock;
  if (last) outgoing_.pop_front();
  writing_ = true;
  StartWrite(&writing_bytes_);
}

void TrainReactor::OnWriteDone(bool ok) {
  Writing written = Writing::kMessage;
  {
    MutexLock lock(&mutex_);
    GRADD_DCHECK(writing_, "gRPC ends a write that nobody began");
    writing_ = false;
    writing_bytes_.Clear();
    written = what_;
    if (!ok) {
      if (!ending_) end_status_ = absl::CancelledError("its connection is gone");
      outgoing_.clear();
      ending_ = true;
    }
    if (read_waits_ && !ending_) ReadNext();
    Pump();
  }
  if (written == Writing::kBlock) session()->ParametersMove();
  if (written == Writing::kLastBlock) session()->ParametersSent();
}

void TrainReactor::OnCancel() {
  session()->Disconnected();
  MutexLock lock(&mutex_);
  outgoing_.clear();
  if (!ending_) end_status_ = absl::CancelledError("its connection is gone");
  ending_ = true;
  Pump();
}

void TrainReactor::OnDone() {
  session()->Disconnected();
  {
    MutexLock lock(&waker_->mutex);
    waker_->reactor = nullptr;
  }
  LogEnd();
  delete this;
}

bool TrainReactor::NoteJoin(const v1::Join& join) {
  MutexLock lock(&mutex_);
  if (welcome_) return false;
  who_ = {join.worker(), join.run()};
  return true;
}

void TrainReactor::LogJoin() {
  Who who;
  {
    MutexLock lock(&mutex_);
    if (!welcome_) return;
    who = who_;
  }
  spdlog::info("{}", LogLine("worker joined", {{"run", RunIdOf(who.run)},
                                               {"worker", who.worker},
                                               {"from", context_->peer()}}));
}

void TrainReactor::LogEnd() {
  Who who;
  absl::Status status;
  {
    MutexLock lock(&mutex_);
    if (!welcome_) return;
    who = who_;
    status = end_status_;
  }
  if (status.ok()) {
    spdlog::info("{}", LogLine("worker left", {{"run", RunIdOf(who.run)}, {"worker", who.worker}}));
  } else {
    spdlog::info("{}", LogLine("session lost", {{"run", RunIdOf(who.run)},
                                                {"worker", who.worker},
                                                {"reason", std::string(status.message())}}));
  }
}

}  // namespace gradd
