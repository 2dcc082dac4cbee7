// How a run is captured between two steps, and goes on from there.

#include "core/run/run_capture.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/run/run.h"

namespace gradd {

void Run::Capture(CaptureReceiver receive) {
  MutexLock lock(&mutex_);
  if (record_.deleted()) {
    pool_->Schedule([receive = std::move(receive), error = DeletedError()] { receive(error); });
    return;
  }
  capture_requests_.push_back(std::move(receive));
  BeginCapture();
}

void Run::BeginCapture() {
  if (capture_requests_.empty() || !engine_.settled()) return;
  auto capture = std::make_shared<RunCapture>();
  GRADD_DCHECK(record_.step() == engine_.step(), "a step is entered and not made");
  record_.Write(&capture->state);
  log_->BeginSegment();
  progress_.Write(capture->state.mutable_last_step());
  *capture->state.mutable_elapsed() = ToProto(course_.Elapsed(Now()));
  engine_.BeginCopy(&capture->vectors);
  pool_->Schedule([self = shared_from_this(), capture = std::move(capture),
                   receivers = std::exchange(capture_requests_, {})] {
    self->CompleteCapture(capture, receivers);
  });
}

void Run::CompleteCapture(const std::shared_ptr<RunCapture>& capture,
                          const std::vector<CaptureReceiver>& receivers) {
  *capture->state.mutable_spec()->mutable_layout() = layout_.message();
  absl::Status copied = engine_.Copy(&capture->vectors);
  bool fills = false;
  {
    MutexLock lock(&mutex_);
    engine_.EndCopy();
    if (record_.deleted()) copied = DeletedError();
    ChangePlan();
    fills = engine_.changes();
    Settle();
  }
  for (const CaptureReceiver& receive : receivers) {
    if (copied.ok()) {
      receive(std::shared_ptr<const RunCapture>(capture));
    } else {
      receive(copied);
    }
  }
  if (fills) return FillChanges();
  Advance();
  FreeIfDeleted();
}

absl::Status Run::GoOnFrom(const RunCapture& capture) {
  const state::v1::RunState& state = capture.state;
  WindowFacts window;
  GRADD_RETURN_IF_ERROR(window.Read(state.window()));
  GRADD_RETURN_IF_ERROR(
      engine_.Restore(capture.vectors, window, WindowOf(state.spec().optimizer()) > 1));
  MutexLock lock(&mutex_);
  GRADD_RETURN_IF_ERROR(record_.Read(state, Now()));
  GRADD_RETURN_IF_ERROR(blob_room_.Claim(0));
  if (record_.step() != engine_.step()) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("run \"", run_id_, "\": its state is of step ",
                                        record_.step(), ", and its vectors of ", engine_.step()));
  }
  GRADD_RETURN_IF_ERROR(AssureStep(record_.policy(), record_.members().live_count()));
  GRADD_RETURN_IF_ERROR(progress_.Read(state.last_step(), record_.losses().summary()));
  engine_.SetTimeline(record_.timeline());
  const absl::Duration now = Now();
  waiting_.SetSince(now);
  waiting_.lag().StepMade(record_.step() - 1, std::nullopt);
  signs_.moved_at = now;
  course_.GoOn(now);
  return absl::OkStatus();
}

}  // namespace gradd
