// How pushes become steps.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/optim/own_rate.h"
#include "core/run/run.h"
#include "core/step/delay_compensation.h"

namespace gradd {
namespace {

// A step of at most this many elements takes less time than waking another thread.
constexpr int64_t kInlineElements = int64_t{64} * 1024;

}  // namespace

PolicyState Run::StateForPolicy() const {
  const Membership& members = record_.members();
  PolicyState state;
  state.open_step = engine_.open_step();
  state.formed = members.formed();
  state.expected = members.expected();
  state.complete = members.complete();
  state.waiting = waiting_.facts();
  state.window = WindowOf(record_.spec().optimizer());
  state.window_pushes = record_.window().pushes;
  state.window_examples = record_.window().examples;
  state.window_loss = record_.window().loss;
  state.window_staleness = record_.window().staleness;
  state.now = Now();
  if (!waiting_.empty() || state.window_pushes > 0) state.waited = state.now - waiting_.since();
  state.quorum_lag = record_.quorum_lag();
  state.oldest_kept_step = engine_.oldest_kept_step();
  state.ends = draining_;
  return state;
}

void Run::BeginStepIfDue(bool room_is_made) {
  leases_.Serve();
  // Whoever can get no batches any more holds nobody back.
  if (record_.batches() != nullptr && record_.policy().holds_back()) replies_.ReleaseHeldBack();
  for (bool again = true; again;) {
    if (step_ != nullptr || makes_room_ || !engine_.settled() || record_.deleted() ||
        !course_.Moves() || record_.state() == v1::RUN_STATE_FINISHED) {
      return;
    }
    const StepPolicy& policy = record_.policy();
    PolicyState state = StateForPolicy();
    state.expected -= static_cast<int64_t>(leases_.Idle().size());
    Verdict verdict = policy.Decide(state);
    if (!verdict.dropped.empty()) {
      // They are answered first, so that what is decided then is about the others alone.
      AnswerDropped(verdict);
      continue;
    }
    if (leases_.EndsWindow(state)) {
      // As if the window were full; and whoever the step would wait for, there is nothing to push.
      state.window = state.window_pushes;
      verdict = policy.Decide(state);
      verdict.what = Verdict::What::kStep;
    }
    if (verdict.what == Verdict::What::kWait) {
      if (draining_) EndIdleSessions();
      return WakeAt(state.now + verdict.wait_left);
    }
    auto step = std::make_unique<StepOnItsWay>();
    if (verdict.compensation > 0 && !waiting_.IsCorrected(verdict.used[0], state.open_step)) {
      return BeginCorrection(verdict, std::move(step));
    }
    if (verdict.what == Verdict::What::kFold) {
      step->fold = DecideFold(verdict, state);
      leases_.Name(verdict.used[0], &*step->fold);
      step->fold->mutable_push()->set_blob(waiting_.BlobOf(verdict.used[0]));
    } else {
      step->work.decision = DecideStep(verdict, state, record_.RatesAt(engine_.step()));
      step->quorum_at = verdict.quorum_at;
      CompleteDecision(verdict, &step->work.decision);
    }
    step->pushes = waiting_.Take(verdict.used);
    if (verdict.compensation == 0) {
      for (PendingPush& pending : step->pushes) pending.corrected.reset();
    }
    if (draining_) EndIdleSessions();
    again = step->fold.has_value() ? !BeginFold(std::move(step))
                                   : !BeginStep(std::move(step), room_is_made);
  }
}

void Run::BeginCorrection(const Verdict& verdict, std::unique_ptr<StepOnItsWay> step) {
  step->pushes = waiting_.Take(verdict.used);
  Correction& correction = step->correction.emplace();
  correction.strength = static_cast<float>(verdict.compensation);
  correction.base = engine_.BaseOf(step->pushes[0].push->header().base_step());
  correction.now = engine_.TakeSnapshot(SnapshotContents::kTraining);
  engine_.BeginCorrection();
  step->begin_at = Now();
  step_ = std::move(step);
}

// Adds what the policy does not know.
void Run::CompleteDecision(const Verdict& verdict, state::v1::StepDecision* decision) {
  leases_.Name(verdict, decision);
  for (size_t i = 0; i < verdict.used.size(); ++i) {
    const std::string& blob = waiting_.BlobOf(verdict.used[i]);
    if (!blob.empty()) decision->mutable_used(static_cast<int>(i))->set_blob(blob);
  }
  if (verdict.at_deadline) {
    const std::vector<std::string> idle = leases_.Idle();
    for (const std::string& worker : record_.members().Missing()) {
      if (!std::binary_search(idle.begin(), idle.end(), worker)) decision->add_missing(worker);
    }
  }
  if (const auto lag = waiting_.lag().OfLastStep(); lag.has_value()) {
    decision->set_quorum_lag_seconds(absl::ToDoubleSeconds(*lag));
  }
}

void Run::AnswerDropped(const Verdict& verdict) {
  std::vector<size_t> indices;
  indices.reserve(verdict.dropped.size());
  for (const Verdict::Dropped& dropped : verdict.dropped) indices.push_back(dropped.index);
  std::vector<PendingPush> pushes = waiting_.Take(indices);
  for (size_t i = 0; i < pushes.size(); ++i) {
    pushes[i].claim.reset();
    answers_.Resolve(pushes[i], verdict.dropped[i].outcome);
  }
  leases_.Serve();
}

// Looks again then, if that is before Tick() does.
void Run::WakeAt(absl::Duration at) {
  const absl::Duration now = Now();
  // Tick() is soon enough for what is farther away.
  if (at - now >= kTickInterval || (wakes_at_ > now && wakes_at_ <= at)) return;
  wakes_at_ = at;
  environment_.alarms->Set(at, [weak = weak_from_this(), pool = pool_] {
    pool->Schedule([weak] {
      if (const auto self = weak.lock()) self->Advance();
    });
  });
}

bool Run::BeginStep(std::unique_ptr<StepOnItsWay> step, bool room_is_made) {
  shared_.Begin(&engine_);
  step->begin_at = Now();
  std::vector<v1::Encoding> early;
  for (PendingPush& pending : step->pushes) {
    step->work.pushes.push_back(pending.gradient());
    pending.sends_early = replies_.CanSendEarly(pending);
    if (pending.sends_early) early.push_back(pending.session->state().parameter_encoding);
  }
  // How noisy gradients are, and who disagrees, shows where there are several.
  step->work.wanted.with_mean = step->work.pushes.size() > 1;
  if (!engine_.Prepare(early, room_is_made, &step->work)) {
    if (room_is_made) {
      signs_.step_lacks_memory = true;
      RejectLarge(std::move(step->pushes), "there is no memory to see whether the step is finite");
    } else {
      // To give memory back takes longer than a lock may be held.
      waiting_.PutBack(std::move(step->pushes));
      makes_room_ = true;
      pool_->Schedule([self = shared_from_this()] { self->MakeRoomForStep(); });
    }
    return true;
  }
  signs_.step_lacks_memory = false;
  step_ = std::move(step);
  if (!step_->work.watched) EnterStep(step_.get());
  AnswerEarly(step_.get());
  return true;
}

void Run::EnterStep(StepOnItsWay* step) {
  state::v1::StepDecision& decision = step->work.decision;
  reports_.StepWithout(decision);
  events_.MakeStep(&decision, step->work.pushes);
  step->event = record_.events();
  waiting_.lag().StepMade(decision.step() - 1, step->quorum_at);
  step->entered = true;
  for (const std::string& worker : decision.missing()) {
    const Member* const member = record_.members().Find(worker);
    // Its push has come since that was decided, and is part of the next step.
    const PendingPush* const pending = waiting_.Find(worker);
    if (pending != nullptr && Admits(pending->push->header().base_step())) {
      events_.ChangeMember(worker, state::v1::MemberChange::KIND_EXPECTED);
      continue;
    }
    if (member->live() && member->missed == record_.policy().forgives()) {
      reports_.NoLongerExpected(worker, member->missed, record_.step());
    }
  }
}

void Run::MakeRoomForStep() {
  const bool made =
      environment_.budget->TrimIfWanted() || environment_.readers->GiveBack(memory_.store.get());
  {
    MutexLock lock(&mutex_);
    makes_room_ = false;
    if (step_ != nullptr || !engine_.settled()) return;  // Whoever is at it goes on.
    BeginStepIfDue(/*room_is_made=*/!made);
    if (step_ == nullptr) return;
  }
  ApplySteps();
}

bool Run::BeginFold(std::unique_ptr<StepOnItsWay> step) {
  const std::shared_ptr<const StagedPush> push = step->pushes[0].gradient();
  step->fold->set_largest(push->largest());
  if (!engine_.BeginFold(*push)) {
    answers_.RejectPending(std::move(step->pushes),
                           GradientTooLargeError(push->largest(),
                                                 "a step that it is only a part of could not be "
                                                 "undone for it"));
    leases_.Serve();
    return false;
  }
  step->begin_at = Now();
  step->entered = true;
  events_.Fold(*step->fold, push);
  step->event = record_.events();
  step_ = std::move(step);
  return true;
}

void Run::AnswerEarly(StepOnItsWay* step) {
  for (PendingPush& pending : step->pushes) {
    if (step->work.next.empty() || !pending.sends_early) continue;
    WorkerSession* const session = pending.session.get();
    const bool before_result = session->state().parameters_before_result;
    pending.told = before_result ? Told::kParameters : Told::kResult;
    if (!before_result) {
      const v1::PushHeader& header = pending.push->header();
      replies_.SendResult(session, header.sequence(), v1::PUSH_OUTCOME_APPLIED, engine_.open_step(),
                          /*parameters_follow=*/true);
      // At once: a worker whose stream breaks now asks at its next join.
      Member* const member = sessions_.MemberOf(session);
      GRADD_DCHECK(
          step->entered && header.sequence() == member->ledger.sequence,
          absl::StrCat("push ", header.sequence(), " of ", pending.worker, " is answered, and ",
                       member->ledger.sequence, " is in the ledger"));
      member->told = member->ledger;
    }
    replies_.SendEarly(session, step->work.next[session->state().parameter_encoding]);
  }
}

bool Run::RejectLarge(std::vector<PendingPush> pushes, absl::string_view why) {
  const auto small = std::stable_partition(
      pushes.begin(), pushes.end(),
      [](const PendingPush& pending) { return pending.gradient()->largest() > kSafeGradient; });
  const bool any = small != pushes.begin();
  for (auto pending = pushes.begin(); pending != small; ++pending) {
    std::vector<PendingPush> one;
    const float largest = pending->gradient()->largest();
    const std::string corrected =
        pending->corrected == nullptr
            ? ""
            : absl::StrCat(
                  ", as corrected for its delay (delay_compensation); as it came, its "
                  "largest had ",
                  pending->push->largest());
    one.push_back(std::move(*pending));
    answers_.RejectPending(std::move(one),
                           GradientTooLargeError(largest, absl::StrCat(why, corrected)));
  }
  pushes.erase(pushes.begin(), small);
  waiting_.PutBack(std::move(pushes));
  leases_.Serve();
  return any;
}

void Run::Advance() {
  {
    MutexLock lock(&mutex_);
    // Whoever applies a step goes on with the next one.
    if (step_ != nullptr || !engine_.settled()) return;
    BeginStepIfDue();
    if (step_ == nullptr) return;
  }
  if (layout_.element_count() <= kInlineElements) {
    ApplySteps();
  } else {
    pool_->Schedule([self = shared_from_this()] { self->ApplySteps(); });
  }
}

void Run::ApplySteps() {
  // So many in a row, then other runs get their turn.
  constexpr int kMaxInARow = 8;
  for (int i = 0; i < kMaxInARow; ++i) {
    StepOnItsWay* step = nullptr;
    {
      MutexLock lock(&mutex_);
      step = step_.get();
    }
    if (step->applied) {
      // It waited for the log to be done with its pushes.
    } else if (step->correction.has_value()) {
      Correction& correction = *step->correction;
      correction.corrected = CompensateDelay(
          *step->pushes[0].push, correction.strength, *correction.base, *correction.now,
          staging_blocks_.get(), environment_.budget.get(), pool_.get());
    } else if (step->fold.has_value()) {
      engine_.Fold(*step->fold, *step->pushes[0].gradient());
    } else {
      engine_.Apply(&step->work);
    }
    std::unique_ptr<StepOnItsWay> applied;
    bool goes_on = false;
    bool fills = false;
    {
      MutexLock lock(&mutex_);
      step->applied = true;
      const bool decided = !step->correction.has_value() && !step->work.undone;
      if (decided && !step->entered && !record_.deleted()) EnterStep(step);
      step->waits_for_log = step->event > log_->written();
      if (step->waits_for_log) return;  // LogMoved() goes on with it.
      applied = CompleteStep();
      BeginStepIfDue();
      goes_on = step_ != nullptr;
      fills = engine_.changes();
    }
    applied.reset();
    if (fills) return FillChanges();
    if (!goes_on) return FreeIfDeleted();
  }
  pool_->Schedule([self = shared_from_this()] { self->ApplySteps(); });
}

std::unique_ptr<StepOnItsWay> Run::CompleteStep() {
  std::unique_ptr<StepOnItsWay> step = std::move(step_);
  const bool folds = step->fold.has_value();
  const bool undone = step->work.undone;
  if (step->correction.has_value()) {
    engine_.EndCorrection();
  } else if (folds) {
    engine_.EndFold();
  } else {
    engine_.Complete(&step->work);
  }
  ChangePlan();
  if (record_.deleted()) {
    // Nobody waits for it.
  } else if (step->correction.has_value()) {
    PendingPush& pending = step->pushes[0];
    pending.corrected = std::move(step->correction->corrected);
    pending.corrected_at = engine_.step();
    pending.cannot_be_corrected = pending.corrected == nullptr;
    const bool finite = pending.corrected == nullptr || std::isfinite(pending.corrected->largest());
    if (!finite && record_.MaySkip(sessions_.skipping())) {
      pending.claim.reset();
      answers_.Resolve(pending, v1::PUSH_OUTCOME_SKIPPED);
    } else {
      waiting_.PutBack(std::move(step->pushes));
    }
  } else if (folds) {
    NoteMove();
    PendingPush& pending = step->pushes[0];
    pending.claim.reset();  // For the next push of the window.
    pending.want_parameters = false;
    answers_.TellTaken(pending, v1::PUSH_OUTCOME_ACCUMULATED);
    replies_.ReleaseAfterPushes();
  } else if (!undone) {
    CountStep(*step);
    if (!step->work.finite) {
      StopFor(absl::StrCat("the parameters are not finite after step ", engine_.step(),
                           ": create the run anew, with a smaller learning rate"),
              engine_.step());
    }
  } else if (!RejectLarge(std::move(step->pushes), "with it the step's result is not finite")) {
    StopFor(absl::StrCat("step ", engine_.step() + 1,
                         " was undone, since its result is not finite at a ", "learning rate of ",
                         record_.RateAt(engine_.step())),
            engine_.step() + 1);
  }
  if (undone && !waiting_.empty()) waiting_.SetSince(Now());
  Settle();
  if (draining_) EndIdleSessions();
  return step;
}

void Run::AddProgress(const StepWork& work, absl::Time time) {
  progress_.AddStep(work.statistics, record_.losses().summary());
  const bool warms_up = !OwnRate(record_.spec().optimizer().kind_case()).has_value();
  progress_.AddToHistory(
      record_.timeline()->number, engine_.step(),
      warms_up ? work.decision.learning_rate() : work.decision.learning_rate_without_warm_up(),
      time);
}

void Run::CountStep(const StepOnItsWay& step) {
  room_.StepMade();
  const state::v1::StepDecision& decision = step.work.decision;
  AddProgress(step.work, environment_.clock->WallTime());
  reports_.StepMade(decision, engine_.step(), record_.losses().summary().smoothed);
  progress_.pace().AddStep(Now());
  NoteMove();
  signs_.non_finite_pushes = 0;
  for (const PendingPush& pending : step.pushes) {
    StepProfile& profile = progress_.profile();
    profile.Add(StepProfile::kReceive, pending.arrival.receive);
    profile.Add(StepProfile::kStage, pending.arrival.stage);
    profile.Add(StepProfile::kWait, step.begin_at - pending.arrival.complete_at);
  }
  SupersedeOldPushes();
  waiting_.StepMade(engine_.step());
  if (!waiting_.empty()) waiting_.SetSince(Now());
  for (const PendingPush& pending : step.pushes)
    answers_.TellTaken(pending, v1::PUSH_OUTCOME_APPLIED);
  replies_.ReleaseAfterPushes();
  signs_.last_missing.assign(decision.missing().begin(), decision.missing().end());
  GuardAgainstDivergence();
}

}  // namespace gradd
