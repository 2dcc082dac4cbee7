#include "server/train_reactor.h"

#include <utility>

#include "server/chunks.h"
#include "server/status.h"
#include "transport/payload_message.h"

namespace gradd {

TrainReactor::TrainReactor(RunRegistry* registry, grpc::CallbackServerContext* context)
    : context_(context) {
  MutexLock lock(&mutex_);
  session_ = std::make_shared<WorkerSession>(registry, this, context->peer());
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
  if (session->Handle(std::move(request), std::move(data))) ResumeReading();
}

void TrainReactor::ResumeReading() {
  MutexLock lock(&mutex_);
  StartRead(&incoming_);
}

void TrainReactor::Send(v1::TrainResponse message) {
  MutexLock lock(&mutex_);
  outgoing_.push_back({std::move(message), nullptr});
  Pump();
}

void TrainReactor::SendParameters(std::shared_ptr<const Snapshot> snapshot) {
  MutexLock lock(&mutex_);
  outgoing_.push_back({{}, std::move(snapshot)});
  Pump();
}

void TrainReactor::End(absl::Status status) {
  MutexLock lock(&mutex_);
  if (ending_) return;
  ending_ = true;
  end_status_ = std::move(status);
  Pump();
}

void TrainReactor::Pump() {
  if (writing_ || finished_) return;
  if (outgoing_.empty()) {
    if (!ending_) return;
    finished_ = true;
    Finish(ToGrpcStatus(end_status_, context_));
    return;
  }
  Outgoing& next = outgoing_.front();
  last_block_ = false;
  if (next.snapshot == nullptr) {
    writing_bytes_ = SerializeTrainResponse(next.message, Payload());
    outgoing_.pop_front();
  } else {
    *next.message.mutable_parameters() = DescribeBlock(*next.snapshot, next.next_block);
    writing_bytes_ =
        SerializeTrainResponse(next.message, BlockPayload(next.snapshot, next.next_block));
    last_block_ = ++next.next_block == next.snapshot->parameters.size();
    if (last_block_) outgoing_.pop_front();
  }
  writing_ = true;
  StartWrite(&writing_bytes_);
}

void TrainReactor::OnWriteDone(bool ok) {
  bool parameters_sent = false;
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    writing_bytes_.Clear();
    parameters_sent = std::exchange(last_block_, false);
    if (!ok) {
      outgoing_.clear();
      ending_ = true;
    }
    Pump();
  }
  if (parameters_sent) session()->ParametersSent();
}

void TrainReactor::OnCancel() {
  session()->Disconnected();
  MutexLock lock(&mutex_);
  outgoing_.clear();
  ending_ = true;
  Pump();
}

void TrainReactor::OnDone() {
  session()->Disconnected();
  delete this;
}

}  // namespace gradd
