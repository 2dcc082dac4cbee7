#include "core/run/run_replay.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/run/changed_plan.h"
#include "core/run/changed_schedule.h"
#include "core/run/changed_spec.h"
#include "core/run/forked_state.h"
#include "core/run/run_spec.h"
#include "core/run/timelines.h"
#include "core/step/window.h"

namespace gradd {
namespace {

using Kind = state::v1::Event;

// Workers whose server was gone try again every few seconds; they get so long at least before
// their leases end.
constexpr absl::Duration kTimeToComeBack = absl::Seconds(30);
// What a run that goes back takes from its checkpoint.
constexpr const char* kSettingsOfThen[] = {"optimizer", "groups",    "schedule",
                                           "policy",    "max_steps", "lease_duration"};

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
    if (event.has_created() || event.has_deleted() || event.has_restored() ||
        event.kind_case() == Kind::KIND_NOT_SET) {
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
  run_->AddProgress(work, absl::UnixEpoch() + absl::Seconds(event.time().seconds()) +
                              absl::Nanoseconds(event.time().nanos()));
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
  if (event.has_change() || event.has_restored()) {
    state::v1::SpecChange change = event.change();
    if (event.has_restored()) {
      // Of what it went back to, the settings are left.
      BeginTimeline();
      *change.mutable_spec() = event.restored().state().spec();
      change.set_author(event.restored().author());
      for (const char* const path : kSettingsOfThen) change.mutable_mask()->add_paths(path);
    }
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
      run_->events_.ChangeState(change);
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
  run_->RequestRollback();
}

absl::Status RunReplay::Fork(const RunOrigin& origin) {
  const RunFork& fork = *origin.fork;
  NewIdentity identity;
  identity.run_id = run_->run_id_;
  identity.uid = MakeRunUid();
  identity.request_id = origin.request_id;
  identity.author = fork.author;
  identity.now = run_->environment_.clock->WallTime();
  RunCapture begin = {ForkedState(origin.capture->state, identity), origin.capture->vectors};
  const int64_t step = begin.state.step();
  begin.state.mutable_spec()->clear_layout();
  GRADD_RETURN_IF_ERROR(run_->GoOnFrom(begin));
  if (!fork.mask.paths().empty()) {
    GRADD_RETURN_IF_ERROR(CheckUpdateMask(fork.mask));
    auto changed = ChangeSpec(begin.state.spec(), fork.mask, fork.values);
    GRADD_RETURN_IF_ERROR(changed.status());
    v1::Run& spec = changed->spec;
    if (changed->begins_anew) spec.mutable_schedule()->set_begins_at(step);
    GRADD_RETURN_IF_ERROR(CheckBegin(spec.schedule(), step));
    if (spec.max_steps() != 0 && spec.max_steps() < step) {
      return InvalidArgument("OUT_OF_RANGE",
                             absl::StrCat("max_steps: ", spec.max_steps(),
                                          " is below the step that the run begins at, ", step));
    }
    GRADD_RETURN_IF_ERROR(ChangePlan(spec));
    *begin.state.mutable_spec() = spec;
  }
  state::v1::Event created;
  created.set_number(begin.state.events());
  *created.mutable_time() = begin.state.create_time();
  created.mutable_created()->set_uid(identity.uid);
  created.mutable_created()->set_request_id(identity.request_id);
  created.mutable_created()->set_given(true);
  *created.mutable_created()->mutable_spec() = begin.state.spec();
  MutexLock lock(&run_->mutex_);
  GRADD_RETURN_IF_ERROR(run_->record_.Read(begin.state, run_->Now()));
  if (run_->record_.done()) {
    begin.state.set_state(v1::RUN_STATE_FINISHED);
    GRADD_RETURN_IF_ERROR(run_->record_.Read(begin.state, run_->Now()));
  }
  GRADD_RETURN_IF_ERROR(
      run_->AssureStep(run_->record_.policy(), run_->record_.members().live_count()));
  run_->engine_.SetTimeline(run_->record_.timeline());
  run_->log_->Append(created, {});
  run_->log_->AwaitCheckpoint(created.number());
  return absl::OkStatus();
}

}  // namespace gradd
