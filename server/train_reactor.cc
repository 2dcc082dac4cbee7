#include "server/train_reactor.h"

#include <spdlog/spdlog.h>

#include <new>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/run/run_log.h"
#include "server/address.h"
#include "server/chunks.h"
#include "server/status.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

// How long a peer may take for what is on its way when its stream is to end without the rest.
constexpr absl::Duration kPartingPatience = absl::Seconds(5);

constexpr char kConnectionGone[] = "its connection is gone";

// Of the resource name of a run that was joined.
std::string RunIdOf(absl::string_view name) {
  return std::string(absl::StripPrefix(name, "runs/"));
}

}  // namespace

TrainReactor::TrainReactor(RunRegistry* registry, PeerWatch* watch,
                           grpc::CallbackServerContext* context)
    : readers_(registry->readers()),
      context_(context),
      watched_(watch->Add([context] { context->TryCancel(); })) {
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
  if (request.has_leave()) NoteLeave();
  const bool more = session->Handle(std::move(request), std::move(data));
  if (joins) {
    watched_->Stop();
    {
      MutexLock lock(&mutex_);
      unjoined_.reset();
    }
  }
  if (more) ResumeReading();
}

void TrainReactor::ResumeReading() {
  MutexLock lock(&mutex_);
  ReadNext();
}

void TrainReactor::ReadNext() {
  read_waits_ = outgoing_.size() >= ResponseQueue::kManyResponses;
  if (!read_waits_) StartRead(&incoming_);
}

bool TrainReactor::same_host() const {
  const std::string peer = context_->peer();
  return absl::StartsWith(peer, "unix:") || absl::StartsWith(peer, "ipv4:127.") ||
         absl::StartsWith(peer, "ipv6:%5B::1%5D") || absl::StartsWith(peer, "ipv6:[::1]");
}

void TrainReactor::Send(v1::TrainResponse message) {
  bool writes = false;
  {
    MutexLock lock(&mutex_);
    if (ending_) return;
    welcome_ = welcome_ || message.has_welcome();
    flushed_ = !message.push_result().parameters_follow();
    writes = !AddedOrDropped(outgoing_.Add(std::move(message)));
  }
  if (writes) ExpectParting();
}

void TrainReactor::Flush() {
  MutexLock lock(&mutex_);
  flushed_ = true;
  Pump();
}

void TrainReactor::SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) {
  bool writes = false;
  {
    MutexLock lock(&mutex_);
    if (ending_) return;
    auto hold = readers_->Add(VersionReaders::Kind::kSession, std::move(snapshot));
    writes = !AddedOrDropped(outgoing_.Add(std::move(hold), encoding));
  }
  if (writes) ExpectParting();
}

bool TrainReactor::AddedOrDropped(bool added) {
  if (!added) {
    return Drop(Error(absl::StatusCode::kAborted, "RESPONSES_UNREAD",
                      absl::StrCat(outgoing_.size(), " responses have not been read; join again")));
  }
  Pump();
  return true;
}

void TrainReactor::End(absl::Status status) {
  MutexLock lock(&mutex_);
  if (ending_) return;
  ending_ = true;
  end_status_ = std::move(status);
  Pump();
}

void TrainReactor::Abandon(absl::Status status) {
  bool writes = false;
  {
    MutexLock lock(&mutex_);
    if (ending_) return;
    writes = !Drop(std::move(status));
  }
  if (writes) ExpectParting();
}

bool TrainReactor::Drop(absl::Status status) {
  ending_ = true;
  end_status_ = std::move(status);
  outgoing_.clear();
  Pump();
  return finished_;
}

void TrainReactor::ExpectParting() {
  // A write is on its way. It may be all but done: gRPC has yet to tell of a block that a worker
  // has taken when that worker leaves. Or it waits for the peer for ever.
  watched_->Expect(kPartingPatience);
}

void TrainReactor::Wake() {
  MutexLock lock(&mutex_);
  block_waits_ = false;
  Pump();
}

bool TrainReactor::NextBlockIsFinal(const Snapshot& snapshot, size_t block) {
  if (snapshot.progress == nullptr) return true;
  const bool final = snapshot.progress->Await(block, [waker = waker_] {
    MutexLock lock(&waker->mutex);
    if (waker->reactor != nullptr) waker->reactor->Wake();
  });
  block_waits_ = !final;
  return final;
}

bool TrainReactor::WaitsForParameters() {
  return !flushed_ && !ending_ && outgoing_.size() == 1 && outgoing_.front().hold == nullptr;
}

void TrainReactor::Pump() {
  if (writing_ || block_waits_ || finished_ || WaitsForParameters()) return;
  if (outgoing_.empty()) {
    if (!ending_) return;
    finished_ = true;
    Finish(ToGrpcStatus(end_status_, context_));
    return;
  }
  ResponseQueue::Response& next = outgoing_.front();
  if (next.hold == nullptr) {
    what_ = Writing::kMessage;
    writing_bytes_ = SerializeTrainResponse(next.message, Payload());
    outgoing_.pop_front();
    grpc::WriteOptions options;
    // Goes out together with what comes next, in one system call.
    if (!outgoing_.empty()) options.set_buffer_hint();
    writing_ = true;
    StartWrite(&writing_bytes_, options);
    return;
  }
  WriteBlock();
}

void TrainReactor::WriteBlock() {
  ResponseQueue::Response& next = outgoing_.front();
  const std::shared_ptr<const Snapshot> snapshot = next.hold->snapshot();
  if (snapshot == nullptr) {
    Drop(VersionReaders::LostError(next.hold->step()));
    return;
  }
  GRADD_DCHECK(next.next_block < snapshot->parameters.size(),
               absl::StrCat("block ", next.next_block, " of ", snapshot->parameters.size()));
  if (!NextBlockIsFinal(*snapshot, next.next_block)) return;
  try {
    BlockChunk chunk = MakeBlockChunk(snapshot, next.next_block, next.encoding, buffers_.get());
    if (chunk.description.encoding() != next.encoding) session_->NoteWidenedChunk();
    v1::TrainResponse message;
    *message.mutable_parameters() = std::move(chunk.description);
    writing_bytes_ = SerializeTrainResponse(message, chunk.data);
  } catch (const std::bad_alloc&) {
    context_->TryCancel();  // The worker comes back, perhaps to more memory.
    outgoing_.clear();
    return;
  }
  const bool last = ++next.next_block == snapshot->parameters.size();
  what_ = last ? Writing::kLastBlock : Writing::kBlock;
  writing_hold_ = next.hold;
  if (last) outgoing_.pop_front();
  writing_ = true;
  StartWrite(&writing_bytes_);
}

void TrainReactor::OnWriteDone(bool ok) {
  Writing written = Writing::kMessage;
  bool joined = false;
  {
    MutexLock lock(&mutex_);
    // The welcome is the first message.
    joined = welcome_ && !std::exchange(join_is_logged_, welcome_);
    GRADD_DCHECK(writing_, "gRPC ends a write that nobody began");
    writing_ = false;
    writing_bytes_.Clear();
    writing_hold_.reset();
    written = what_;
    if (!ok) {
      if (!ending_) end_status_ = absl::CancelledError(kConnectionGone);
      outgoing_.clear();
      ending_ = true;
    }
    if (read_waits_ && !ending_) ReadNext();
    Pump();
  }
  if (joined) LogJoin();
  if (written == Writing::kBlock) session()->ParametersMove();
  if (written == Writing::kLastBlock) session()->ParametersSent();
}

void TrainReactor::OnCancel() {
  session()->Disconnected();
  MutexLock lock(&mutex_);
  cancelled_ = true;
  outgoing_.clear();
  if (!ending_) end_status_ = absl::CancelledError(kConnectionGone);
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

void TrainReactor::NoteLeave() {
  MutexLock lock(&mutex_);
  left_ = true;
}

void TrainReactor::LogJoin() {
  Who who;
  {
    MutexLock lock(&mutex_);
    who = who_;
  }
  spdlog::info("{}", LogLine("worker joined", {{"run", RunIdOf(who.run)},
                                               {"worker", who.worker},
                                               {"from", context_->peer()}}));
}

void TrainReactor::LogEnd() {
  Who who;
  std::string reason;
  {
    MutexLock lock(&mutex_);
    if (!welcome_) return;
    who = who_;
    reason = std::string(end_status_.message());
    if (end_status_.ok() && !left_) {
      // The end of a connection looks like the end of what the worker has to say. In both cases the
      // run keeps it as a member until its lease ends.
      reason = cancelled_ ? kConnectionGone : "it ended its stream and did not leave";
    }
  }
  LogEntry::Fields fields = {{"run", RunIdOf(who.run)}, {"worker", who.worker}};
  if (reason.empty()) {
    spdlog::info("{}", LogLine("worker left", fields));
  } else {
    fields.emplace_back("reason", reason);
    spdlog::info("{}", LogLine("session lost", fields));
  }
}

}  // namespace gradd
