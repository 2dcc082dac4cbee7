#include "client/connection.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/channel.h"
#include "client/pull.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

constexpr char kTrainMethod[] = "/gradd.v1.TrainingService/Train";
// From the call to `welcome`, including the connection.
constexpr absl::Duration kHandshakeTimeout = absl::Seconds(20);
constexpr absl::Duration kLeaveTimeout = absl::Seconds(5);
// More than any memory holds; so many bytes can be computed with.
constexpr int64_t kMaxParameters = int64_t{1} << 40;
constexpr absl::Duration kLongestWait = absl::Minutes(1);

// What the completion queue says is done.
enum class Done : intptr_t { kStarted = 1, kRead, kWritten, kFinished, kWoken };

void* Tag(Done done) { return reinterpret_cast<void*>(done); }

uint64_t RandomInstance() {
  std::random_device device;
  const uint64_t instance = static_cast<uint64_t>(device()) << 32 | device();
  return instance != 0 ? instance : 1;
}

// Whether nothing is to be encoded: what lies in shared memory is not.
bool UsesFloat32(const SessionOptions& options) {
  return options.push_encoding.kind == PushEncoding::Kind::kFloat32 &&
         (options.parameter_encodings.empty() ||
          options.parameter_encodings[0] == v1::ENCODING_FLOAT32);
}

// Whether a new session may go better.
bool Retryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:  // The server ended a stream that this side had not.
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    case absl::StatusCode::kAborted:  // Unless a newer session of this very process took over.
      return ReasonOf(status) != "SESSION_TAKEN_OVER";
    default:
      return false;
  }
}

}  // namespace

Connection::Connection(SessionOptions options)
    : options_(std::move(options)),
      run_(absl::StartsWith(options_.run, "runs/") ? options_.run
                                                   : absl::StrCat("runs/", options_.run)),
      instance_(RandomInstance()),
      backoff_(options_.initial_backoff, options_.maximum_backoff, instance_),
      reconnect_at_(clock_->Elapsed()),
      lost_at_(reconnect_at_),
      use_shared_memory_(options_.shared_memory && UsesFloat32(options_)),
      thread_([this] { Run(); }) {}

Connection::~Connection() {
  {
    MutexLock lock(&mutex_);
    closing_ = true;
    Wake();
  }
  thread_.join();
}

absl::Status Connection::WaitUntilOpen() {
  MutexLock lock(&mutex_);
  while (!open_ && failure_.ok()) changed_.Wait(&mutex_);
  return failure_;
}

int64_t Connection::next_sequence() const {
  MutexLock lock(&mutex_);
  return next_sequence_;
}

bool Connection::finished() const {
  MutexLock lock(&mutex_);
  return finished_;
}

int64_t Connection::reconnects() const {
  MutexLock lock(&mutex_);
  return reconnects_;
}

void Connection::Log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

// ---- Called by the session's user. ----

std::future<absl::StatusOr<PushReport>> Connection::Push(const Session::PushInfo& info,
                                                         absl::Span<const float> gradient,
                                                         absl::Span<float> parameters) {
  ActivePush push;
  push.info = info;
  push.gradient = gradient;
  push.parameters = parameters;
  return Wish(std::move(push));
}

std::future<absl::StatusOr<PushReport>> Connection::Push(const Session::PushInfo& info) {
  ActivePush push;
  push.info = info;
  push.gradient = gradient();
  push.own_vectors = true;
  return Wish(std::move(push));
}

absl::Span<float> Connection::gradient() const {
  return vectors_ == nullptr ? absl::Span<float>() : vectors_->gradient();
}

absl::Span<const float> Connection::parameters() const {
  return vectors_ == nullptr ? absl::Span<const float>() : vectors_->parameters();
}

std::future<Connection::Result> Connection::Wish(ActivePush push) {
  push.loan = std::make_shared<Loan>();
  push.loan->vectors = vectors_;
  std::future<Result> future = push.loan->promise.get_future();
  const auto count = static_cast<size_t>(parameter_count_);
  if (push.gradient.size() != count ||
      (!push.parameters.empty() && push.parameters.size() != count)) {
    push.loan->result = absl::InvalidArgumentError(
        absl::StrCat("a push of ", push.gradient.size(), " elements into ", push.parameters.size(),
                     ", the run has ", parameter_count_));
    return future;
  }
  MutexLock lock(&mutex_);
  while (push_in_flight_ && failure_.ok()) changed_.Wait(&mutex_);
  if (!failure_.ok() || left_ || leave_wished_) {
    push.loan->result =
        failure_.ok() ? absl::FailedPreconditionError("the session has left") : failure_;
    return future;
  }
  push_in_flight_ = true;
  wished_push_ = std::move(push);
  Wake();
  return future;
}

absl::StatusOr<int64_t> Connection::Pull(absl::Span<float> parameters, v1::ParameterView view) {
  Backoff backoff(options_.initial_backoff, options_.maximum_backoff, RandomInstance());
  const absl::Duration begin = clock_->Elapsed();
  while (true) {
    absl::StatusOr<int64_t> step =
        PullOnce(options_.server, run_, view, parameters, &receive_buffers_);
    if (step.ok() || !Retryable(step.status())) return step;
    const absl::Duration wait = backoff.Next();
    if (clock_->Elapsed() + wait - begin > options_.give_up_after) return step;
    Log(absl::StrCat("pull failed (", step.status().message(), "), trying again"));
    MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
    changed_.WaitFor(&mutex_, wait);
  }
}

absl::StatusOr<int64_t> Connection::Pull() {
  if (vectors_ == nullptr) {
    return absl::FailedPreconditionError("the session was not opened with shared_memory");
  }
  auto own = vectors_->OwnParameters();
  if (!own.ok()) return own.status();
  return Pull(*own, v1::PARAMETER_VIEW_TRAINING);
}

absl::Status Connection::Leave() {
  MutexLock lock(&mutex_);
  leave_wished_ = true;
  Wake();
  const absl::Duration begin = clock_->Elapsed();
  while (!left_ && failure_.ok()) {
    const absl::Duration left = kLeaveTimeout - (clock_->Elapsed() - begin);
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("the server did not answer `leave`");
    }
    changed_.WaitFor(&mutex_, left);
  }
  return failure_;
}

void Connection::Wake() {
  if (alarm_set_) return;
  alarm_set_ = true;
  // Not "now": that is rounded up to the next tick of gRPC's timer, up to a millisecond away.
  alarm_.Set(&queue_, gpr_inf_past(GPR_CLOCK_REALTIME), Tag(Done::kWoken));
}

// ---- The thread. ----

void Connection::Run() {
  OpenStream();
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (closing_ && stream_ == nullptr && !alarm_set_) break;
    }
    void* tag = nullptr;
    bool ok = false;
    const absl::Duration wait =
        std::clamp(NextDue() - clock_->Elapsed(), absl::ZeroDuration(), kLongestWait);
    const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMicroseconds(wait);
    switch (queue_.AsyncNext(&tag, &ok, deadline)) {
      case grpc::CompletionQueue::TIMEOUT:
        HandleDue();
        continue;
      case grpc::CompletionQueue::SHUTDOWN:
        return;
      case grpc::CompletionQueue::GOT_EVENT:
        break;
    }
    const auto done = static_cast<Done>(reinterpret_cast<intptr_t>(tag));
    if (done == Done::kWoken) {
      HandleWishes();
      continue;
    }
    --stream_->operations;
    switch (done) {
      case Done::kStarted:
        OnStarted(ok);
        break;
      case Done::kRead:
        OnRead(ok);
        break;
      case Done::kWritten:
        OnWritten(ok);
        break;
      default:
        break;
    }
    // The status is the last thing of a stream, but other completions may come after it.
    if (stream_->finishing && stream_->operations == 0) OnFinished();
  }
  if (push_) CompletePush(absl::CancelledError("the session was closed"));
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

absl::Duration Connection::NextDue() const {
  if (stream_ == nullptr) return leaving_ ? absl::InfiniteDuration() : reconnect_at_;
  if (stream_->finishing) return absl::InfiniteDuration();
  return stream_->last_write + (stream_->welcome ? heartbeat_interval_ : kHandshakeTimeout);
}

void Connection::HandleDue() {
  if (clock_->Elapsed() < NextDue()) return;
  if (stream_ == nullptr) {
    OpenStream();
  } else if (stream_->welcome) {
    stream_->last_write = clock_->Elapsed();
    if (!stream_->writing) {
      v1::TrainRequest heartbeat;
      heartbeat.mutable_heartbeat();
      stream_->control.push_back(std::move(heartbeat));
      WriteNext();
    }
  } else {
    stream_->last_write = clock_->Elapsed();
    stream_->context.TryCancel();
  }
}

void Connection::HandleWishes() {
  bool closing = false;
  bool leave = false;
  absl::Status failure;
  {
    MutexLock lock(&mutex_);
    alarm_set_ = false;
    closing = closing_;
    leave = leave_wished_ && !leaving_;
    failure = failure_;
    if (wished_push_) {
      push_ = std::move(wished_push_);
      wished_push_.reset();
      push_->sequence = next_sequence_;
    }
  }
  if (!failure.ok() && push_) CompletePush(failure);
  if (closing) {
    leaving_ = true;
    if (stream_ != nullptr) stream_->context.TryCancel();
    return;
  }
  if (leave) BeginLeave();
  if (stream_ == nullptr || !stream_->welcome) return;
  if (push_ && !push_->begun) BeginPush();
  WriteNext();
}

void Connection::BeginLeave() {
  leaving_ = true;
  if (stream_ == nullptr) {
    MutexLock lock(&mutex_);
    left_ = true;
    changed_.NotifyAll();
  } else if (stream_->welcome) {
    v1::TrainRequest request;
    request.mutable_leave();
    stream_->control.push_back(std::move(request));
  } else {
    stream_->context.TryCancel();
  }
}

void Connection::OpenStream() {
  auto channel = MakeChannel(options_.server);
  if (!channel.ok()) {
    Fail(channel.status());
    return;
  }
  stream_ = std::make_unique<Stream>();
  stream_->channel = *std::move(channel);
  stream_->last_write = clock_->Elapsed();
  grpc::GenericStub stub(stream_->channel);
  stream_->call = stub.PrepareCall(&stream_->context, kTrainMethod, &queue_);
  ++stream_->operations;
  stream_->call->StartCall(Tag(Done::kStarted));
}

void Connection::OnStarted(bool ok) {
  if (!ok) {
    FinishStream();
    return;
  }
  v1::TrainRequest request;
  v1::Join& join = *request.mutable_join();
  join.set_run(run_);
  join.set_worker(options_.worker);
  join.set_instance(instance_);
  join.set_want_shared_memory(use_shared_memory_);
  if (options_.layout.tensors_size() > 0) *join.mutable_layout() = options_.layout;
  for (const v1::Encoding encoding : options_.parameter_encodings) {
    join.add_parameter_encodings(encoding);
  }
  stream_->control.push_back(std::move(request));
  WriteNext();
  Read();
}

void Connection::Read() {
  ++stream_->operations;
  stream_->call->Read(&stream_->incoming, Tag(Done::kRead));
}

void Connection::OnRead(bool ok) {
  if (!ok) {
    FinishStream();
    return;
  }
  receive_buffers_.Note(stream_->incoming);
  v1::TrainResponse response;
  Payload data;
  const absl::Status parsed = ParseTrainResponse(stream_->incoming, &response, &data);
  stream_->incoming.Clear();
  if (parsed.ok()) {
    HandleResponse(response, data);
  } else {
    BreakProtocol(std::string(parsed.message()));
  }
  Read();
}

void Connection::OnWritten(bool ok) {
  stream_->writing = false;
  if (ok) WriteNext();  // Otherwise the pending read is about to fail.
}

void Connection::WriteNext() {
  if (stream_->writing || stream_->finishing) return;
  const auto chunk_is_due = [this] {
    return stream_->welcome && push_ && push_->begun && !push_->committed;
  };
  grpc::ByteBuffer bytes;
  if (!stream_->control.empty()) {
    bytes = SerializeTrainRequest(stream_->control.front(), Payload());
    stream_->control.pop_front();
  } else if (stream_->ahead.Valid()) {
    bytes.Swap(&stream_->ahead);
    stream_->ahead.Clear();
  } else if (chunk_is_due()) {
    bytes = NextChunk();
  } else {
    return;
  }
  stream_->writing = true;
  stream_->last_write = clock_->Elapsed();
  ++stream_->operations;
  stream_->call->Write(bytes, Tag(Done::kWritten));
  // Encoded while this one is on its way.
  if (!stream_->ahead.Valid() && chunk_is_due()) stream_->ahead = NextChunk();
}

grpc::ByteBuffer Connection::NextChunk() {
  ActivePush& push = *push_;
  v1::TrainRequest request;
  v1::Push& message = *request.mutable_push();
  if (!push.header_sent) {
    message.mutable_header()->set_sequence(push.sequence);
    message.mutable_header()->set_base_step(push.info.base_step);
    message.mutable_header()->set_examples(push.info.examples);
    message.mutable_header()->set_loss(push.info.loss);
    push.header_sent = true;
  }
  Payload data;
  if (!push.known && push.shared) {
    message.set_gradient_is_shared(true);
  } else if (!push.known) {
    data = encoder_->Next(message.mutable_chunk());
  }
  if (push.known || push.shared || encoder_->done()) {
    message.mutable_commit()->set_want_parameters(push.wants_parameters());
    push.committed = true;
  }
  return SerializeTrainRequest(request, data);
}

void Connection::FinishStream() {
  if (stream_->finishing) return;
  stream_->finishing = true;
  ++stream_->operations;
  stream_->call->Finish(&stream_->status, Tag(Done::kFinished));
}

void Connection::OnFinished() {
  std::string reason;
  const auto& metadata = stream_->context.GetServerTrailingMetadata();
  const auto found = metadata.find("gradd-reason");
  if (found != metadata.end()) reason.assign(found->second.data(), found->second.size());
  const absl::Status status = FromGrpcStatus(stream_->status, reason);
  if (stream_->welcome) lost_at_ = clock_->Elapsed();
  stream_.reset();
  if (leaving_) {
    MutexLock lock(&mutex_);
    left_ = true;
    changed_.NotifyAll();
    return;
  }
  if (Retryable(status)) {
    ScheduleReconnect(status);
  } else {
    Fail(status);
  }
}

void Connection::ScheduleReconnect(const absl::Status& why) {
  const absl::Duration now = clock_->Elapsed();
  const absl::Duration wait = backoff_.Next();
  const std::string reason = why.message().empty() ? std::string("the server ended the stream")
                                                   : std::string(why.message());
  if (now + wait - lost_at_ > options_.give_up_after) {
    Fail(absl::UnavailableError(absl::StrCat("no session with ", options_.server, " for ",
                                             absl::FormatDuration(options_.give_up_after), ": ",
                                             reason)));
    return;
  }
  reconnect_at_ = now + wait;
  if (push_) {
    push_->begun = false;
    push_->header_sent = false;
    push_->committed = false;
    push_->answered = false;
    push_->known = false;
    push_->received_elements = 0;
  }
  Log(absl::StrCat("no session with ", options_.server, " (", reason, "); trying again in ",
                   absl::FormatDuration(absl::Trunc(wait, absl::Milliseconds(1)))));
}

void Connection::HandleResponse(const v1::TrainResponse& response, const Payload& data) {
  switch (response.response_case()) {
    case v1::TrainResponse::kWelcome:
      HandleWelcome(response.welcome());
      break;
    case v1::TrainResponse::kPushResult:
      HandleResult(response.push_result());
      break;
    case v1::TrainResponse::kParameters:
      HandleParameters(response.parameters(), data);
      break;
    case v1::TrainResponse::kSharedParameters:
      HandleSharedParameters(response.shared_parameters());
      break;
    case v1::TrainResponse::kEvent:
      HandleEvent(response.event());
      break;
    case v1::TrainResponse::RESPONSE_NOT_SET:
      break;  // Something that a later server may say.
  }
}

void Connection::HandleWelcome(const v1::Welcome& welcome) {
  if (welcome.parameter_count() < 1 || welcome.parameter_count() > kMaxParameters ||
      welcome.limits().max_chunk_bytes() < kMinChunkBytes) {
    BreakProtocol(absl::StrCat("welcome with ", welcome.parameter_count(),
                               " parameters in chunks of ", welcome.limits().max_chunk_bytes(),
                               " bytes"));
    return;
  }
  if (const absl::Status takes = CheckPushEncoding(welcome); !takes.ok()) {
    Fail(takes);
    return;
  }
  const auto layout = Layout::Create(welcome.layout(), kMaxParameters);
  if (!layout.ok() || layout->element_count() != welcome.parameter_count()) {
    BreakProtocol(absl::StrCat("welcome with ", welcome.parameter_count(),
                               " parameters and a layout of others"));
    return;
  }
  bool regained = false;
  absl::Status same_run;
  absl::Status vectors_error;
  {
    MutexLock lock(&mutex_);
    if (open_) {
      same_run = CheckSameRun(welcome);
      regained = true;
      ++reconnects_;
    } else {
      layout_ = welcome.layout();
      parameter_count_ = welcome.parameter_count();
      max_steps_ = welcome.max_steps();
      if (options_.shared_memory) {
        auto vectors = MappedVectors::Create(parameter_count_);
        vectors_error = vectors.status();
        if (vectors.ok()) vectors_ = *std::move(vectors);
      }
      open_ = vectors_error.ok();
    }
    if (!push_) next_sequence_ = welcome.last_sequence() + 1;
    finished_ = welcome.state() == v1::RUN_STATE_FINISHED;
    changed_.NotifyAll();
  }
  same_run.Update(vectors_error);
  if (!same_run.ok()) {
    Fail(same_run);
    return;
  }
  if (vectors_ != nullptr) vectors_->Close();
  if (use_shared_memory_ && welcome.has_shared_memory()) {
    if (absl::Status opened = vectors_->Open(welcome.shared_memory()); !opened.ok()) {
      Log(absl::StrCat(opened.message(), "; joining without it"));
      use_shared_memory_ = false;
      stream_->context.TryCancel();
      return;
    }
  }
  stream_->welcome = true;
  max_chunk_bytes_ = welcome.limits().max_chunk_bytes();
  if (encoder_ == nullptr) {
    encoder_ = PushEncoder::Create(options_.push_encoding, *layout);
  }
  heartbeat_interval_ = std::max(FromProto(welcome.lease_duration()) / 3, absl::Milliseconds(100));
  backoff_.Reset();
  if (regained) Log(absl::StrCat("session with ", options_.server, " regained"));
  if (push_) {
    push_->known = push_->sequence <= welcome.last_sequence();
    BeginPush();
    WriteNext();
  }
}

absl::Status Connection::CheckSameRun(const v1::Welcome& welcome) const {
  // Of the push in flight, the server may know or not; of all others, this side knows.
  const int64_t answered = push_ ? push_->sequence - 1 : next_sequence_ - 1;
  const int64_t most = push_ ? push_->sequence : answered;
  if (welcome.parameter_count() == parameter_count_ && welcome.last_sequence() >= answered &&
      welcome.last_sequence() <= most) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(run_, " is not as this session left it: it has ", welcome.parameter_count(),
                   " parameters and its last push of worker \"", options_.worker, "\" is ",
                   welcome.last_sequence(), ", expected ", parameter_count_, " and ", most));
}

absl::Status Connection::CheckPushEncoding(const v1::Welcome& welcome) const {
  const v1::Encoding wanted = WireEncoding(options_.push_encoding.kind);
  std::string taken;
  for (const int encoding : welcome.limits().encodings()) {
    if (encoding == wanted) return absl::OkStatus();
    absl::StrAppend(&taken, " ", v1::Encoding_Name(static_cast<v1::Encoding>(encoding)));
  }
  return Error(absl::StatusCode::kFailedPrecondition, "ENCODING_UNSUPPORTED",
               absl::StrCat("push_encoding: the server at ", options_.server, " does not take ",
                            v1::Encoding_Name(wanted), " but", taken));
}

void Connection::BeginPush() {
  if (vectors_ != nullptr) {
    // Here the caller leaves both vectors alone.
    if (absl::Status attached = vectors_->Attach(); !attached.ok()) {
      Fail(attached);
      return;
    }
  }
  push_->shared = vectors_ != nullptr && vectors_->attached() &&
                  push_->gradient.data() == vectors_->gradient().data();
  shares_memory_ = push_->shared;
  if (!push_->encoding && !push_->shared) {
    const absl::Status begun = encoder_->Begin(push_->sequence, push_->gradient, push_->loan);
    if (!begun.ok()) {
      CompletePush(Error(begun.code(), ReasonOf(begun),
                         absl::StrCat("push ", push_->sequence, " of worker \"", options_.worker,
                                      "\": ", begun.message())));
      return;
    }
    push_->encoding = true;
  }
  if (push_->encoding) encoder_->Rewind(max_chunk_bytes_);
  push_->begun = true;
  push_->report = PushReport();
  push_->report.sequence = push_->sequence;
}

void Connection::HandleResult(const v1::PushResult& result) {
  if (!push_ || !push_->begun || push_->answered || result.sequence() != push_->sequence) {
    BreakProtocol(
        absl::StrCat("a result for push ", result.sequence(), ", which is not the one in flight"));
    return;
  }
  ActivePush& push = *push_;
  const bool rejected = result.outcome() == v1::PUSH_OUTCOME_REJECTED;
  if (!rejected && (!push.committed || stream_->ahead.Valid())) {
    BreakProtocol(absl::StrCat("a result for push ", result.sequence(), " before its end"));
    return;
  }
  push.answered = true;
  // Of a push that was sent again because its result was lost, the first one's fate counts.
  const bool duplicate = result.outcome() == v1::PUSH_OUTCOME_DUPLICATE;
  const v1::PushOutcome outcome =
      duplicate && result.committed_outcome() != v1::PUSH_OUTCOME_UNSPECIFIED
          ? result.committed_outcome()
          : result.outcome();
  if (outcome != v1::PUSH_OUTCOME_DUPLICATE) push.dropped = outcome != v1::PUSH_OUTCOME_APPLIED;
  if (rejected) {
    if (!push.committed || stream_->ahead.Valid()) {
      // Without its end, the server would take the next push for more of this one.
      v1::TrainRequest end;
      end.mutable_push()->mutable_commit();
      stream_->control.push_back(std::move(end));
      stream_->ahead.Clear();
    }
    const bool finished = result.reason() == "RUN_FINISHED";
    CompletePush(
        Error(finished ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kInvalidArgument,
              result.reason(), result.message()));
    return;
  }
  push.report.outcome = outcome;
  push.report.step = result.step();
  if (!result.parameters_follow() || !push.wants_parameters()) CompletePush(push.report);
}

void Connection::HandleParameters(const v1::ParameterChunk& chunk, const Payload& data) {
  if (!push_ || !push_->answered) return;
  ActivePush& push = *push_;
  if (push.own_vectors && push.received_elements == 0) {
    auto own = vectors_->OwnParameters();
    if (!own.ok()) {
      Fail(own.status());
      return;
    }
    push.parameters = *own;
  }
  const absl::StatusOr<int64_t> received = DecodeChunk(
      chunk, data, push.received_elements, push.report.parameters_step, push.parameters);
  if (!received.ok()) {
    BreakProtocol(std::string(received.status().message()));
    return;
  }
  push.report.parameters_step = chunk.step();
  push.received_elements += *received;
  if (push.received_elements == parameter_count_) CompletePush(push.report);
}

void Connection::HandleSharedParameters(const v1::SharedParameters& parameters) {
  if (!push_ || !push_->answered) return;
  ActivePush& push = *push_;
  if (vectors_ == nullptr || !vectors_->attached()) {
    BreakProtocol("shared parameters without shared memory");
    return;
  }
  if (absl::Status mapped = vectors_->Map(parameters); !mapped.ok()) {
    Fail(mapped);
    return;
  }
  if (!push.own_vectors) {
    const absl::Span<const float> values = vectors_->parameters();
    std::copy(values.begin(), values.end(), push.parameters.begin());
  }
  push.report.parameters_step = parameters.step();
  CompletePush(push.report);
}

void Connection::HandleEvent(const v1::RunEvent& event) {
  const auto log = [&](absl::string_view what) {
    Log(absl::StrCat("run ", what, " at step ", event.step()));
  };
  switch (event.kind()) {
    case v1::RUN_EVENT_KIND_PAUSED:
      log("paused");
      break;
    case v1::RUN_EVENT_KIND_RESUMED:
      log("resumed");
      break;
    case v1::RUN_EVENT_KIND_FINISHED:
      log("finished");
      break;
    case v1::RUN_EVENT_KIND_STOPPING:
      Log("the server is stopping");
      break;
    case v1::RUN_EVENT_KIND_TRIAL:
      if (options_.on_trial) options_.on_trial(event.run());
      break;
    default:
      break;
  }
  MutexLock lock(&mutex_);
  if (event.kind() == v1::RUN_EVENT_KIND_FINISHED) finished_ = true;
  if (event.kind() == v1::RUN_EVENT_KIND_RESUMED) finished_ = false;
}

void Connection::NoteSaturated(int64_t elements) {
  if (elements == 0) return;
  if (saturated_elements_.fetch_add(elements) > 0) return;
  Log(absl::StrCat("push ", push_->sequence, ": ", elements,
                   " elements are beyond the range of FLOAT16 and were sent as 65504 or -65504; "
                   "BFLOAT16 has the range. Further ones are counted, and not told"));
}

void Connection::CompletePush(Result result) {
  if (push_->encoding) {
    NoteSaturated(encoder_->saturated());
    encoder_->Finish(/*applied=*/!push_->dropped);
  }
  MutexLock lock(&mutex_);
  if (result.ok()) next_sequence_ = push_->sequence + 1;
  push_in_flight_ = false;
  push_->loan->result = std::move(result);
  push_.reset();
  changed_.NotifyAll();
}

void Connection::Fail(const absl::Status& why) {
  leaving_ = true;
  {
    MutexLock lock(&mutex_);
    if (failure_.ok()) failure_ = why;
    changed_.NotifyAll();
  }
  if (stream_ != nullptr) stream_->context.TryCancel();
  if (push_) CompletePush(why);
}

void Connection::BreakProtocol(const std::string& what) {
  Fail(absl::InternalError(
      absl::StrCat("the server at ", options_.server, " does not keep to the protocol: ", what)));
}

}  // namespace gradd
