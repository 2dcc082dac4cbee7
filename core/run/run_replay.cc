#include "core/run/run_replay.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/run/changed_plan.h"
#include "core/run/run_spec.h"
#include "core/step/window.h"

namespace gradd {
namespace {

using Kind = state::v1::Event;

// Workers whose server was gone try again every few seconds; they get so long at least before
// their leases end.
constexpr absl::Duration kTimeToComeBack = absl::Seconds(30);

absl::Status Differs(const std::string& run_id, absl::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "LOG_DAMAGED",
               absl::StrCat("run \"", run_id, "\": ", what));
}

}  // namespace

absl::Status RunReplay::Apply(const state::v1::Event& event, EventLog::Pushes pushes) {
  int64_t expected = 0;
  {
    MutexLock lock(&run_->mutex_);
    if (event.number() != run_->record_.events() + 1) {
      return Differs(run_->run_id_, absl::StrCat("event ", event.number(), " comes after event ",
                                                 run_->record_.events()));
    }
    if (event.has_created() || event.has_deleted() || event.kind_case() == Kind::KIND_NOT_SET) {
      return Differs(run_->run_id_,
                     absl::StrCat("event ", event.number(), " is none that can come here"));
    }
    expected = event.has_step() ? event.step().used_size() : event.has_fold() ? 1 : 0;
  }
  if (static_cast<int64_t>(pushes.size()) != expected) {
    return Differs(run_->run_id_, absl::StrCat("event ", event.number(), " has ", pushes.size(),
                                               " pushes, ", expected, " expected"));
  }
  if (event.has_step()) return ApplyStep(event, pushes);
  if (event.has_fold()) {
    if (!run_->engine_.BeginFold(*pushes[0])) {
      return Differs(run_->run_id_, absl::StrCat("event ", event.number(), " cannot be folded"));
    }
    run_->engine_.Fold(event.fold(), *pushes[0]);
    run_->engine_.EndFold();
  } else if (event.has_change()) {
    GRADD_RETURN_IF_ERROR(ChangePlan(event.change().spec()));
  }
  MutexLock lock(&run_->mutex_);
  run_->record_.Apply(event);
  if (event.has_timeline()) run_->engine_.SetTimeline(run_->record_.timeline());
  if (!event.has_change() && !event.has_member()) return absl::OkStatus();
  return run_->AssureStep(run_->record_.policy(), run_->record_.members().live_count());
}

absl::Status RunReplay::ApplyStep(const state::v1::Event& event, EventLog::Pushes pushes) {
  StepWork work;
  work.decision = event.step();
  work.pushes.assign(pushes.begin(), pushes.end());
  work.wanted.with_mean = pushes.size() > 1;
  if (work.decision.step() != run_->engine_.step() + 1) {
    return Differs(run_->run_id_, absl::StrCat("step ", work.decision.step(), " comes after step ",
                                               run_->engine_.step()));
  }
  if (!run_->engine_.Prepare(/*early=*/{}, /*room_is_made=*/true, &work)) {
    return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                 absl::StrCat("run \"", run_->run_id_, "\": there is no memory to make step ",
                              work.decision.step(), " once more"));
  }
  work.undo.reset();  // What was decided stays, whatever comes of it.
  run_->engine_.Apply(&work);
  MutexLock lock(&run_->mutex_);
  run_->engine_.Complete(&work);
  run_->record_.Apply(event);
  run_->progress_.AddStep(work.statistics, run_->record_.losses().summary());
  run_->waiting_.lag().StepMade(run_->record_.step() - 1, std::nullopt);
  return absl::OkStatus();
}

absl::Status RunReplay::ChangePlan(const v1::Run& spec) {
  v1::Run before;
  {
    MutexLock lock(&run_->mutex_);
    before = run_->record_.spec();
  }
  auto plan = MakeChangedPlan(run_->run_id_, before, spec, run_->layout_, *run_->memory_.store,
                              run_->environment_);
  GRADD_RETURN_IF_ERROR(plan.status());
  {
    MutexLock lock(&run_->mutex_);
    const std::unique_ptr<const StepPolicy> policy = MakeStepPolicy(spec.policy());
    GRADD_RETURN_IF_ERROR(run_->AssureStep(*policy, run_->record_.members().live_count()));
    GRADD_RETURN_IF_ERROR(run_->engine_.Reserve(*std::move(plan), WindowOf(spec.optimizer()) > 1,
                                                policy->kept_steps()));
    if (!run_->engine_.Change()) return StateOutOfMemory(run_->run_id_);
    if (!run_->engine_.changes()) return absl::OkStatus();
  }
  run_->engine_.Fill();
  MutexLock lock(&run_->mutex_);
  run_->engine_.Adopt();
  return absl::OkStatus();
}

absl::Status RunReplay::CarryOver(const state::v1::Event& event) {
  if (event.has_change()) {
    state::v1::SpecChange change = event.change();
    v1::Schedule& schedule = *change.mutable_spec()->mutable_schedule();
    // It is in force from here on.
    if (schedule.has_begins_at()) {
      schedule.set_begins_at(std::min(schedule.begins_at(), run_->engine_.step()));
    }
    GRADD_RETURN_IF_ERROR(ChangePlan(change.spec()));
    MutexLock lock(&run_->mutex_);
    run_->events_.ChangeSpec(std::move(change));
    return run_->AssureStep(run_->record_.policy(), run_->record_.members().live_count());
  }
  MutexLock lock(&run_->mutex_);
  if (event.has_state()) {
    const state::v1::StateChange& change = event.state();
    if (change.state() != run_->record_.state() && change.state() != v1::RUN_STATE_FINISHED) {
      run_->events_.ChangeState(change.state(), change.author(), change.reason());
    }
  } else if (event.has_timeline()) {
    run_->events_.BeginTimeline(event.timeline().author());
    run_->engine_.SetTimeline(run_->record_.timeline());
  }
  return absl::OkStatus();
}

void RunReplay::BeginTimeline() {
  MutexLock lock(&run_->mutex_);
  run_->events_.BeginTimeline(/*author=*/"");
  run_->engine_.SetTimeline(run_->record_.timeline());
}

void RunReplay::GoOn() {
  MutexLock lock(&run_->mutex_);
  const absl::Duration now = run_->Now();
  const absl::Duration lease = LeaseDuration(run_->record_.spec());
  run_->record_.members().GoOn(now + std::max(kTimeToComeBack - lease, absl::ZeroDuration()));
  run_->waiting_.SetSince(now);
  run_->signs_.moved_at = now;
  run_->course_.GoOn(now);
}

}  // namespace gradd
