#include "client/push_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/leased_batches.h"
#include "client/pull.h"
#include "core/base/check.h"
#include "core/base/error.h"

namespace gradd {

PushMachine::Action PushMachine::Complete(absl::StatusOr<PushReport> result) {
  return {Action::Kind::kComplete, std::move(result)};
}

PushMachine::Action PushMachine::ProtocolBroken(const std::string& what) {
  return {Action::Kind::kProtocolBroken, absl::InternalError(what)};
}

PushMachine::Action PushMachine::Fail(absl::Status why) {
  return {Action::Kind::kFail, std::move(why)};
}

void PushMachine::SetUp(Terms terms) {
  worker_ = std::move(terms.worker);
  parameter_count_ = terms.parameter_count;
  encoder_ = std::move(terms.encoder);
  vectors_ = std::move(terms.vectors);
}

void PushMachine::Order(PushOrder order) {
  GRADD_DCHECK(!push_.has_value(), "a second push would take the place of the first");
  Push push;
  push.order = std::move(order);
  push_ = std::move(push);
}

void PushMachine::StreamOpened(const v1::Welcome& welcome) {
  max_chunk_bytes_ = welcome.limits().max_chunk_bytes();
  run_uid_ = welcome.run_uid();
  timeline_ = welcome.timeline();
  const bool begun = push_ && push_->begun;
  if (!begun) next_sequence_ = welcome.last_sequence() + 1;
  if (!push_) return;
  // One of a timeline that has ended counted on that one, or never will.
  push_->known = push_->order.info.timeline != timeline_ ||
                 (begun && next_sequence_ <= welcome.last_sequence());
}

void PushMachine::OnTimeline(uint64_t timeline, std::optional<int64_t> last_sequence) {
  timeline_ = timeline;
  // The answer to one that has begun says what comes after it.
  const bool begun = push_ && push_->begun;
  if (last_sequence.has_value() && !begun) next_sequence_ = *last_sequence + 1;
}

bool PushMachine::CanBegin(uint64_t pulled) const {
  if (!push_ || push_->phase != Phase::kWaiting) return false;
  const uint64_t timeline = push_->order.info.timeline;
  return timeline <= timeline_ || timeline > pulled;
}

PushMachine::Action PushMachine::Begin() {
  Push& push = *push_;
  if (vectors_ != nullptr) {
    // Here the caller leaves both vectors alone.
    if (absl::Status attached = vectors_->Attach(); !attached.ok()) return Fail(attached);
  }
  push.shared = vectors_ != nullptr && vectors_->attached() &&
                push.order.gradient.data() == vectors_->gradient().data();
  if (!push.encoding && !push.shared && !push.aborts) {
    if (const uint64_t timeline = push.order.info.timeline; timeline != encoded_timeline_) {
      if (encoded_timeline_ != 0) encoder_->Forget();
      encoded_timeline_ = timeline;
    }
    const absl::Status begun =
        encoder_->Begin(next_sequence_, push.order.gradient, push.order.loan);
    if (!begun.ok()) {
      return Complete(Error(begun.code(), ReasonOf(begun),
                            absl::StrCat("push ", next_sequence_, " of worker \"", worker_,
                                         "\": ", begun.message())));
    }
    push.encoding = true;
  }
  if (push.encoding) encoder_->Rewind(max_chunk_bytes_);
  push.phase = Phase::kSending;
  push.header_sent = false;
  push.abort_sent = false;
  push.received_elements = 0;
  push.has_parameters = false;
  push.report = PushReport();
  push.report.sequence = next_sequence_;
  return {};
}

void PushMachine::StreamEnded() {
  ahead_.reset();
  end_owed_ = false;
  if (!push_) return;
  push_->phase = Phase::kWaiting;
  push_->known = false;
}

PushMachine::Action PushMachine::Abort() {
  if (!push_ || push_->phase == Phase::kReceiving) return {};
  push_->aborts = true;
  if (!push_->begun) return Aborted();
  ahead_.reset();
  return {};
}

PushMachine::Action PushMachine::Aborted() {
  PushReport report;
  report.sequence = next_sequence_;
  report.outcome = v1::PUSH_OUTCOME_ABORTED;
  return Complete(report);
}

PushMessage PushMachine::NextOfAbort() {
  Push& push = *push_;
  PushMessage message;
  if (!push.header_sent) {
    FillHeader(message.request.mutable_push()->mutable_header());
    return message;
  }
  message.request.mutable_abort_push()->set_sequence(next_sequence_);
  push.abort_sent = true;
  push.phase = Phase::kSent;
  return message;
}

std::optional<PushMessage> PushMachine::Next() {
  if (std::exchange(end_owed_, false)) {
    PushMessage end;
    end.request.mutable_push()->mutable_commit();
    return end;
  }
  if (!push_) return std::nullopt;
  const bool sending = push_->phase == Phase::kSending;
  if (push_->aborts && !push_->abort_sent && (sending || push_->phase == Phase::kSent)) {
    return NextOfAbort();
  }
  if (!sending) return std::nullopt;
  push_->begun = true;
  PushMessage message = ahead_ ? *std::exchange(ahead_, std::nullopt) : Encode();
  if (message.request.push().has_commit()) push_->phase = Phase::kSent;
  return message;
}

void PushMachine::EncodeAhead() {
  if (ahead_ || !push_ || push_->phase != Phase::kSending || push_->aborts) return;
  ahead_ = Encode();
}

PushMessage PushMachine::Encode() {
  Push& push = *push_;
  PushMessage message;
  v1::Push& part = *message.request.mutable_push();
  if (!push.header_sent) FillHeader(part.mutable_header());
  if (!push.known && push.shared) {
    part.set_gradient_is_shared(true);
  } else if (!push.known) {
    message.data = encoder_->Next(part.mutable_chunk());
  }
  if (push.known || push.shared || encoder_->done()) {
    part.mutable_commit()->set_want_parameters(push.order.wants_parameters());
  }
  return message;
}

void PushMachine::FillHeader(v1::PushHeader* header) {
  const Session::PushInfo& info = push_->order.info;
  header->set_sequence(next_sequence_);
  header->set_base_step(info.base_step);
  header->set_examples(info.examples);
  header->set_loss(info.loss);
  header->set_timeline(info.timeline);
  header->set_run_uid(run_uid_);
  *header->mutable_batches() = BatchRangesOf(info.batches);
  header->set_blob(info.blob);
  push_->header_sent = true;
}

PushMachine::Action PushMachine::OnResult(const v1::PushResult& result) {
  if (!push_ || result.sequence() != next_sequence_ || push_->phase == Phase::kWaiting ||
      push_->phase == Phase::kReceiving) {
    return ProtocolBroken(
        absl::StrCat("a result for push ", result.sequence(), ", which is not the one in flight"));
  }
  Push& push = *push_;
  if (result.outcome() == v1::PUSH_OUTCOME_ABORTED && push.abort_sent) return Aborted();
  if (result.outcome() == v1::PUSH_OUTCOME_RESEND && push.phase == Phase::kSent) {
    if (push.aborts) return Aborted();
    push.known = false;
    return Begin();
  }
  // Of a push that was sent again because its result was lost, the first one's fate counts.
  const bool repeated = result.outcome() == v1::PUSH_OUTCOME_DUPLICATE &&
                        result.committed_outcome() != v1::PUSH_OUTCOME_UNSPECIFIED;
  const v1::PushOutcome outcome = repeated ? result.committed_outcome() : result.outcome();
  // What became of the gradient, for the residual; unknown of a DUPLICATE.
  if (outcome != v1::PUSH_OUTCOME_DUPLICATE) {
    push.dropped = outcome != v1::PUSH_OUTCOME_APPLIED && outcome != v1::PUSH_OUTCOME_ACCUMULATED;
  }
  if (result.outcome() == v1::PUSH_OUTCOME_REJECTED) return Rejected(result);
  if (result.outcome() == v1::PUSH_OUTCOME_ROLLED_BACK && result.has_last_sequence()) {
    if (result.last_sequence() < 0) {
      return ProtocolBroken(absl::StrCat("a last sequence of ", result.last_sequence()));
    }
    push.next_sequence = result.last_sequence() + 1;
  }
  if (result.outcome() == v1::PUSH_OUTCOME_ABORTED) {
    return ProtocolBroken(absl::StrCat("push ", result.sequence(), " aborted, and nobody asked"));
  }
  if (push.phase == Phase::kSending) {
    return ProtocolBroken(absl::StrCat("a result for push ", result.sequence(), " before its end"));
  }
  push.phase = Phase::kReceiving;
  push.report.outcome = outcome;
  push.report.step = repeated ? result.committed_step() : result.step();
  const bool parameters_come = result.parameters_follow() || push.received_elements > 0;
  const bool waits = push.order.wants_parameters() && parameters_come && !push.has_parameters;
  return waits ? Action() : Complete(push.report);
}

PushMachine::Action PushMachine::Rejected(const v1::PushResult& result) {
  if (push_->phase == Phase::kSending) {
    // Without its end, the server would take the next push for more of this one.
    end_owed_ = true;
    ahead_.reset();
  }
  const bool finished = result.reason() == "RUN_FINISHED";
  return Complete(
      Error(finished ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kInvalidArgument,
            result.reason(), result.message()));
}

bool PushMachine::AwaitsParameters() const {
  return push_ && push_->order.wants_parameters() && !push_->has_parameters &&
         (push_->phase == Phase::kSent || push_->phase == Phase::kReceiving);
}

PushMachine::Action PushMachine::HasParameters() {
  push_->has_parameters = true;
  return push_->phase == Phase::kReceiving ? Complete(push_->report) : Action();
}

PushMachine::Action PushMachine::OnParameters(const v1::ParameterChunk& chunk,
                                              const Payload& data) {
  if (!AwaitsParameters()) return {};
  Push& push = *push_;
  if (push.order.own_vectors && push.received_elements == 0) {
    auto own = vectors_->OwnParameters();
    if (!own.ok()) return Fail(own.status());
    push.order.parameters = *own;
  }
  const absl::StatusOr<int64_t> received = DecodeChunk(
      chunk, data, push.received_elements, push.report.parameters_step, push.order.parameters);
  if (!received.ok()) return ProtocolBroken(std::string(received.status().message()));
  push.report.parameters_step = chunk.step();
  if (push.received_elements == 0) push.report.timeline = chunk.timeline();
  push.received_elements += *received;
  return push.received_elements == parameter_count_ ? HasParameters() : Action();
}

PushMachine::Action PushMachine::OnSharedParameters(const v1::SharedParameters& parameters) {
  if (!AwaitsParameters()) return {};
  Push& push = *push_;
  if (vectors_ == nullptr || !vectors_->attached()) {
    return ProtocolBroken("shared parameters without shared memory");
  }
  if (absl::Status mapped = vectors_->Map(parameters); !mapped.ok()) return Fail(mapped);
  if (!push.order.own_vectors) {
    const absl::Span<const float> values = vectors_->parameters();
    std::copy(values.begin(), values.end(), push.order.parameters.begin());
  }
  push.report.parameters_step = parameters.step();
  push.report.timeline = parameters.timeline();
  return HasParameters();
}

std::shared_ptr<PushLoan> PushMachine::Finish(const absl::StatusOr<PushReport>& result) {
  const auto outcome = result.ok() ? result->outcome : v1::PUSH_OUTCOME_UNSPECIFIED;
  if (push_->encoding && outcome == v1::PUSH_OUTCOME_ABORTED) {
    encoder_->TakeBack();
  } else if (push_->encoding) {
    encoder_->Finish(/*applied=*/!push_->dropped);
  }
  if (outcome == v1::PUSH_OUTCOME_ROLLED_BACK) encoder_->Forget();
  const bool changed_nothing =
      outcome == v1::PUSH_OUTCOME_ROLLED_BACK || outcome == v1::PUSH_OUTCOME_ABORTED;
  if (result.ok() && !changed_nothing) ++next_sequence_;
  if (push_->next_sequence.has_value()) next_sequence_ = *push_->next_sequence;
  // What was encoded ahead borrows the gradient.
  ahead_.reset();
  std::shared_ptr<PushLoan> loan = std::move(push_->order.loan);
  push_.reset();
  return loan;
}

}  // namespace gradd
