#include "client/session_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/channel.h"
#include "client/event_text.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

constexpr absl::Duration kLongestWait = absl::Minutes(1);
// A push of at most this many elements takes less time than waking another thread.
constexpr size_t kSmallPush = size_t{64} * 1024;
// Of the completion that says that there are orders.
constexpr intptr_t kOrdersTag = TrainStream::kTags;

}  // namespace

SessionThread::SessionThread(SessionOptions options, ReceiveBufferPin* receive_buffers)
    : options_(std::move(options)),
      receive_buffers_(receive_buffers),
      joining_(options_),
      retry_(options_, joining_.instance(), clock_->Elapsed()),
      // Not "now": that is rounded up to the next tick of gRPC's timer, up to a millisecond away.
      exchange_([this] {
        alarm_.Set(&queue_, gpr_inf_past(GPR_CLOCK_REALTIME), reinterpret_cast<void*>(kOrdersTag));
      }),
      batches_(options_.batches_ahead, [this] { exchange_.Nudge(); }),
      thread_([this] { Run(); }) {}

SessionThread::~SessionThread() {
  exchange_.Close();
  thread_.join();
}

void SessionThread::Push(PushOrder order) {
  const bool small = order.gradient.size() <= kSmallPush;
  if (!exchange_.Push(std::move(order))) return;
  // From a callback of the session it may be this thread that has the mutex.
  if (!small || Mutex::AnyHeld() || !mutex_.TryLock()) return exchange_.Wake();
  HandleOrders(exchange_.Take());
  mutex_.Unlock();
}

void SessionThread::Run() {
  {
    MutexLock lock(&mutex_);
    OpenStream();
  }
  for (auto wait = TimeToWait(); wait.has_value(); wait = TimeToWait()) {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMicroseconds(*wait);
    const auto next = queue_.AsyncNext(&tag, &ok, deadline);
    MutexLock lock(&mutex_);
    if (next != grpc::CompletionQueue::GOT_EVENT) {
      HandleDue();
    } else if (reinterpret_cast<intptr_t>(tag) == kOrdersTag) {
      HandleOrders(exchange_.TakeWoken());
    } else {
      OnStreamEvent(stream_->Completed(reinterpret_cast<intptr_t>(tag), ok));
    }
  }
  {
    MutexLock lock(&mutex_);
    const absl::Status closed = absl::CancelledError("the session was closed");
    batches_.Fail(closed);
    if (push_.active()) CompletePush(closed);
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

std::optional<absl::Duration> SessionThread::TimeToWait() {
  MutexLock lock(&mutex_);
  if (exchange_.closed() && stream_ == nullptr) return std::nullopt;
  return std::clamp(NextDue() - clock_->Elapsed(), absl::ZeroDuration(), kLongestWait);
}

absl::Duration SessionThread::NextDue() const {
  if (stream_ == nullptr) {
    return course_ == Course::kServe ? reconnect_at_ : absl::InfiniteDuration();
  }
  if (stream_->ending()) return absl::InfiniteDuration();
  if (course_ == Course::kLeave) return leave_by_;
  return welcome_ ? stream_->last_write() + heartbeat_interval_ : welcome_by_;
}

void SessionThread::HandleDue() {
  if (clock_->Elapsed() < NextDue()) return;
  if (stream_ == nullptr) {
    OpenStream();
  } else if (course_ == Course::kLeave) {
    const absl::Status silent = absl::DeadlineExceededError("the server did not answer `leave`");
    stream_->Cancel(silent);
    // A stuck connection lets the stream end only when gRPC gives it up.
    EndLeave(silent);
  } else if (!welcome_) {
    stream_->Cancel(absl::DeadlineExceededError("the server did not answer `join`"));
  } else {
    // Nothing of a push has gone out for so long: the server takes no more of it for now, or there
    // is none.
    stream_->MarkWritten();
    if (!stream_->writable()) return;
    v1::TrainRequest heartbeat;
    heartbeat.mutable_heartbeat();
    stream_->Add(std::move(heartbeat));
    WriteNext();
  }
}

void SessionThread::HandleOrders(SessionExchange::Orders orders) {
  if (orders.push) push_.Order(*std::move(orders.push));
  if (!orders.failure.ok() && push_.active()) CompletePush(orders.failure);
  if (orders.abort) Do(push_.Abort());
  if (orders.close) {
    course_ = Course::kOver;
    if (stream_ != nullptr) stream_->Cancel(absl::CancelledError("the session was closed"));
    return;
  }
  if (orders.leave && course_ == Course::kServe) BeginLeave();
  if (stream_ == nullptr || !welcome_) return;
  if (course_ == Course::kServe) BeginPush();
  if (course_ == Course::kServe) RequestBatches();
  WriteNext();
}

void SessionThread::RequestBatches() {
  for (v1::TrainRequest& request : batches_.TakeRequests()) stream_->Add(std::move(request));
}

void SessionThread::BeginLeave() {
  course_ = Course::kLeave;
  batches_.Fail(absl::FailedPreconditionError("the session has left"));
  leave_by_ = clock_->Elapsed() + options_.leave_timeout;
  if (welcome_) {
    v1::TrainRequest request;
    request.mutable_leave();
    stream_->Add(std::move(request));
    return;
  }
  const absl::Status untold = absl::UnavailableError(
      absl::StrCat("no session with ", options_.server, " to say so; its lease will end"));
  if (stream_ != nullptr) stream_->Cancel(untold);
  EndLeave(untold);
}

void SessionThread::EndLeave(const absl::Status& status) {
  course_ = Course::kOver;
  if (push_.active()) {
    CompletePush(absl::CancelledError(
        absl::StrCat("push ", push_.sequence(), " of worker \"", options_.worker,
                     "\" was not answered when the session left; it may count")));
  }
  exchange_.Left(status);
}

// ---- The stream. ----

void SessionThread::OpenStream() {
  auto channel = MakeChannel(options_.server);
  if (!channel.ok()) {
    Fail(channel.status());
    return;
  }
  welcome_by_ = retry_.WelcomeDue(clock_->Elapsed());
  stream_ = std::make_unique<TrainStream>(*std::move(channel), &queue_, clock_);
}

void SessionThread::OnStreamEvent(TrainStream::Event event) {
  switch (event) {
    case TrainStream::Event::kStarted:
      stream_->Write(joining_.Request(), Payload());
      stream_->Read();
      break;
    case TrainStream::Event::kReceived: {
      grpc::ByteBuffer bytes;
      bytes.Swap(stream_->received());
      stream_->Read();
      OnReceived(bytes);
    } break;
    case TrainStream::Event::kWritten:
      WriteNext();
      break;
    case TrainStream::Event::kEnded:
      OnStreamEnded();
      break;
    case TrainStream::Event::kNothing:
      break;
  }
}

void SessionThread::OnStreamEnded() {
  const absl::Status status = stream_->status();
  stream_.reset();
  welcome_ = false;
  push_.StreamEnded();
  batches_.StreamEnded();
  if (course_ == Course::kLeave) EndLeave(status);
  if (course_ == Course::kOver) return;
  const Retry::Verdict verdict = retry_.Ended(status, clock_->Elapsed());
  if (!verdict.failure.ok()) {
    Fail(verdict.failure);
    return;
  }
  reconnect_at_ = verdict.at;
  Log(verdict.line);
}

void SessionThread::WriteNext() {
  if (!stream_->writable()) return;
  if (!stream_->WriteAdded()) {
    // Nothing of a push follows `leave`.
    if (course_ != Course::kServe) return;
    const std::optional<PushMessage> next = push_.Next();
    if (!next) return;
    stream_->Write(next->request, next->data);
  }
  // While this one is on its way.
  push_.EncodeAhead();
}

// ---- What the server says. ----

void SessionThread::OnReceived(const grpc::ByteBuffer& bytes) {
  receive_buffers_->Note(bytes);
  v1::TrainResponse response;
  Payload data;
  const absl::Status parsed = ParseTrainResponse(bytes, &response, &data);
  if (stream_->ending()) return;  // Given up meanwhile.
  if (parsed.ok()) {
    HandleResponse(response, data);
  } else {
    BreakProtocol(parsed.message());
  }
}

void SessionThread::HandleResponse(const v1::TrainResponse& response, const Payload& data) {
  switch (response.response_case()) {
    case v1::TrainResponse::kWelcome:
      HandleWelcome(response.welcome());
      break;
    case v1::TrainResponse::kPushResult:
      Do(push_.OnResult(response.push_result()));
      WriteNext();  // It may have to be sent again.
      break;
    case v1::TrainResponse::kParameters:
      Do(push_.OnParameters(response.parameters(), data));
      break;
    case v1::TrainResponse::kSharedParameters:
      Do(push_.OnSharedParameters(response.shared_parameters()));
      break;
    case v1::TrainResponse::kEvent:
      HandleEvent(response.event());
      break;
    case v1::TrainResponse::kBatchLease:
      batches_.OnLease(response.batch_lease());
      if (course_ == Course::kServe) RequestBatches();
      WriteNext();
      break;
    case v1::TrainResponse::RESPONSE_NOT_SET:
      break;  // Something that a later server may say.
  }
}

void SessionThread::HandleWelcome(const v1::Welcome& welcome) {
  if (welcome_) {
    BreakProtocol("a second welcome");
    return;
  }
  const Joining::Verdict verdict =
      joining_.Welcomed(welcome, {push_.least_known(), push_.most_known()});
  switch (verdict.kind) {
    case Joining::Verdict::Kind::kWelcome:
      break;
    case Joining::Verdict::Kind::kJoinAgain:
      Log(std::string(verdict.why.message()));
      stream_->Cancel(verdict.why);
      return;
    case Joining::Verdict::Kind::kProtocolBroken:
      BreakProtocol(verdict.why.message());
      return;
    case Joining::Verdict::Kind::kFail:
      Fail(verdict.why);
      return;
  }
  const bool first = retry_.sessions() == 0;
  welcome_ = true;
  retry_.Welcomed();
  heartbeat_interval_ = std::max(FromProto(welcome.lease_duration()) / 3, absl::Milliseconds(100));
  if (first) {
    push_.SetUp({options_.worker, facts().parameter_count,
                 PushEncoder::Create(options_.push_encoding, joining_.layout()), facts().vectors});
    NoteTimeline(welcome.timeline());
  }
  if (!first && welcome.timeline() != push_.timeline()) {
    Log(absl::StrCat("run has gone back and is on timeline ", welcome.timeline(),
                     " now: what was computed before counts no more"));
  }
  push_.StreamOpened(welcome);
  batches_.StreamOpened(welcome);
  exchange_.Opened(welcome.state() == v1::RUN_STATE_FINISHED, push_.sequence());
  if (!first) Log(absl::StrCat("session with ", options_.server, " regained"));
  BeginPush();
  RequestBatches();
  WriteNext();
}

void SessionThread::HandleEvent(const v1::RunEvent& event) {
  const std::string text = EventText(event);
  if (!text.empty()) Log(text);
  if (event.kind() == v1::RUN_EVENT_KIND_RESUMED) exchange_.SetFinished(false);
  if (event.kind() == v1::RUN_EVENT_KIND_FINISHED) exchange_.SetFinished(true);
  if (event.kind() == v1::RUN_EVENT_KIND_TIMELINE) {
    batches_.OnTimeline(event.timeline());
    std::optional<int64_t> last_sequence;
    if (event.has_last_sequence()) last_sequence = std::max<int64_t>(event.last_sequence(), 0);
    push_.OnTimeline(event.timeline(), last_sequence);
    if (!push_.active()) exchange_.SetNextSequence(push_.sequence());
    if (course_ == Course::kServe) BeginPush();
    if (course_ == Course::kServe) RequestBatches();
    WriteNext();
  }
  if (event.kind() == v1::RUN_EVENT_KIND_TRIAL && options_.on_trial) options_.on_trial(event.run());
}

// ---- The push. ----

void SessionThread::BeginPush() {
  if (!push_.CanBegin(timeline())) return;
  PushMachine::Action action = push_.Begin();
  shares_memory_ = push_.shared();
  Do(std::move(action));
}

void SessionThread::Do(PushMachine::Action action) {
  switch (action.kind) {
    case PushMachine::Action::Kind::kNone:
      break;
    case PushMachine::Action::Kind::kComplete:
      CompletePush(std::move(action.result));
      WriteNext();
      break;
    case PushMachine::Action::Kind::kProtocolBroken:
      BreakProtocol(action.result.status().message());
      break;
    case PushMachine::Action::Kind::kFail:
      Fail(action.result.status());
      break;
  }
}

void SessionThread::CompletePush(absl::StatusOr<PushReport> result) {
  NoteSaturated();
  // The event may come later.
  if (ReasonOf(result.status()) == "RUN_FINISHED") exchange_.SetFinished(true);
  if (result.ok()) NoteTimeline(result->timeline);
  NoteBatches(result);
  std::shared_ptr<PushLoan> loan = push_.Finish(result);
  exchange_.PushCompleted(std::move(loan), std::move(result), push_.sequence());
}

void SessionThread::NoteBatches(const absl::StatusOr<PushReport>& result) {
  if (push_.batches().empty()) return;
  const std::string reason = result.ok() ? "" : ReasonOf(result.status());
  if (reason == "BATCH_NOT_LEASED" || reason == "BATCH_LEASE_ENDED") {
    batches_.Refused(push_.batches());
  } else if (result.ok() && result->outcome == v1::PUSH_OUTCOME_ROLLED_BACK) {
    batches_.RolledBack();
  } else if (result.ok() && result->outcome != v1::PUSH_OUTCOME_ABORTED) {
    batches_.Pushed(push_.batches());
  }
  if (stream_ != nullptr && welcome_ && course_ == Course::kServe) RequestBatches();
}

void SessionThread::NoteSaturated() {
  const int64_t elements = push_.saturated();
  if (elements == 0 || saturated_elements_.fetch_add(elements) > 0) return;
  Log(absl::StrCat("push ", push_.sequence(), ": ", elements,
                   " elements are beyond the range of FLOAT16 and were sent as 65504 or -65504; "
                   "BFLOAT16 has the range. Further ones are counted, and not told"));
}

void SessionThread::Fail(const absl::Status& why) {
  course_ = Course::kOver;
  exchange_.Fail(why);
  batches_.Fail(why);
  if (stream_ != nullptr) stream_->Cancel(why);
  if (push_.active()) CompletePush(why);
}

void SessionThread::BreakProtocol(absl::string_view what) {
  Fail(absl::InternalError(
      absl::StrCat("the server at ", options_.server, " does not keep to the protocol: ", what)));
}

void SessionThread::Log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

}  // namespace gradd
