// How a run tells of nothing that is not durable.

#include <functional>
#include <utility>
#include <vector>

#include "core/run/run.h"

namespace gradd {

CheckpointFacts Run::ReadCheckpointFacts() const {
  MutexLock lock(&mutex_);
  CheckpointFacts facts;
  facts.events = record_.events();
  facts.step = record_.step();
  facts.state = record_.state();
  facts.checkpoints = record_.spec().checkpoints();
  facts.journal = record_.spec().journal();
  facts.journal_max_bytes = record_.spec().journal_max_bytes();
  facts.parameter_bytes = layout_.element_count() * int64_t{sizeof(float)};
  facts.deleted = record_.deleted();
  return facts;
}

void Run::WhenDurable(DurableGate::Receiver receive) {
  absl::Status fault;
  {
    MutexLock lock(&mutex_);
    fault = log_->failure();
    if (fault.ok() && !gate_.IsOpen(record_.events())) {
      return gate_.Answer(record_.events(), std::move(receive));
    }
  }
  receive(fault);
}

void Run::WhenDurableOrStuck(DurableGate::Look look) {
  bool is_durable = false;
  {
    MutexLock lock(&mutex_);
    is_durable = gate_.IsOpen(record_.events());
    if (!is_durable && !gate_.IsStuck()) {
      return gate_.LookAt(record_.events(), std::move(look));
    }
  }
  look(is_durable);
}

void Run::LogMoved() {
  std::vector<std::function<void()>> answers;
  bool written = false;
  {
    MutexLock lock(&mutex_);
    answers = gate_.Serve();
    FinishIfDone();
    written = step_ != nullptr && step_->waits_for_log && step_->event <= log_->written();
    if (written) step_->waits_for_log = false;
    if (!course_.disk_failed() && !draining_ && !log_->failure().ok()) StopForDisk();
  }
  for (const auto& answer : answers) answer();
  if (written) pool_->Schedule([self = shared_from_this()] { self->ApplySteps(); });
}

void Run::StopForDisk() {
  course_.SetDiskFailed();
  NoteMoving();
  const absl::Status fault = log_->failure();
  for (const SessionPtr& session : sessions_.List()) sessions_.Abandon(session.get(), fault);
}

}  // namespace gradd
