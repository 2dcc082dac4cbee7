// How pushes become steps.

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/optim/own_rate.h"
#include "core/run/run.h"
#include "core/schedule/schedule.h"
#include "core/sync/synchronization_policy.h"

namespace gradd {
namespace {

// A step of at most this many elements takes less time than waking another thread.
constexpr int64_t kInlineElements = int64_t{64} * 1024;

}  // namespace

void Run::SupersedeOldPushes() {
  if (!spec_.policy().has_synchronous()) return;
  for (auto it = pending_.begin(); it != pending_.end();) {
    if (it->push->header().base_step() == step_) {
      ++it;
      continue;
    }
    Resolve(*it, v1::PUSH_OUTCOME_SUPERSEDED);
    it = pending_.erase(it);
  }
}

std::vector<Run::PendingPush> Run::TakeSynchronousPushes() {
  SynchronousState state;
  state.live_members = static_cast<int>(LiveMembers());
  state.formed = formed_;
  state.ready_pushes = static_cast<int>(pending_.size());
  state.waited = environment_.clock->Elapsed() - first_pending_at_;
  state.deadline = StepDeadline(spec_.policy().synchronous());
  // Every push asks; who it is from matters when there may be enough of them.
  if (state.ready_pushes < state.live_members && state.waited < state.deadline) return {};
  for (const PendingPush& pending : pending_) {
    state.ready_members += static_cast<int>(live_.count(pending.worker));
  }
  if (!SynchronousStepDue(state)) return {};
  const bool without_some = state.ready_members < state.live_members;
  std::vector<PendingPush> pushes(std::make_move_iterator(pending_.begin()),
                                  std::make_move_iterator(pending_.end()));
  pending_.clear();
  std::sort(pushes.begin(), pushes.end(),
            [](const PendingPush& a, const PendingPush& b) { return a.worker < b.worker; });
  if (without_some) LogMissing(pushes);
  return pushes;
}

std::vector<Run::PendingPush> Run::TakeAsynchronousPush() {
  const v1::Asynchronous& policy = spec_.policy().asynchronous();
  while (!pending_.empty()) {
    PendingPush pending = std::move(pending_.front());
    pending_.pop_front();
    const int64_t staleness = step_ - pending.push->header().base_step();
    if (!policy.has_max_staleness() || staleness <= policy.max_staleness()) {
      std::vector<PendingPush> pushes;
      pushes.push_back(std::move(pending));
      return pushes;
    }
    Resolve(pending, v1::PUSH_OUTCOME_STALE);
  }
  return {};
}

void Run::BeginStepIfDue(bool room_is_made) {
  if (!Settled() || deleted_ || !Moves() || makes_room_) return;
  std::vector<PendingPush> pushes =
      spec_.policy().has_synchronous() ? TakeSynchronousPushes() : TakeAsynchronousPush();
  if (draining_) EndIdleSessions();
  if (pushes.empty()) return;
  if (parameter_region_ != nullptr && !parameters_shared_) {
    store_.ShareTrainingVector(parameter_region_);
    parameters_shared_ = true;
  }
  step_work_ = std::make_unique<StepWork>(guard_);
  for (const PendingPush& pending : pushes) {
    const int64_t staleness = step_ - pending.push->header().base_step();
    GRADD_DCHECK(staleness == 0 || (staleness > 0 && spec_.policy().has_asynchronous()),
                 absl::StrCat("a push of ", pending.worker, " is ", staleness, " steps old"));
    step_work_->staleness = std::max(step_work_->staleness, staleness);
  }
  step_work_->pushes = std::move(pushes);
  step_work_->plan = plan_;
  step_work_->step = step_;
  step_work_->momentum = Momentum(spec_.schedule(), step_);
  double factor = plateau_.factor();
  if (spec_.policy().has_asynchronous()) {
    factor *= StalenessFactor(spec_.policy().asynchronous().correction(), step_work_->staleness);
  }
  step_work_->learning_rate = LearningRate(spec_.schedule(), step_) * factor;
  step_work_->rate_without_warm_up = LearningRateWithoutWarmUp(spec_.schedule(), step_) * factor;
  step_work_->begin_at = environment_.clock->Elapsed();
  if (ReserveForStep(step_work_.get(), room_is_made)) {
    signs_.step_lacks_memory = false;
    AnswerEarly(step_work_.get());
  } else if (!room_is_made) {
    // To give memory back takes longer than a lock may be held.
    PutBack(std::move(step_work_));
    makes_room_ = true;
    pool_->Schedule([self = shared_from_this()] { self->MakeRoomForStep(); });
  } else {
    signs_.step_lacks_memory = true;
    RejectLarge(std::move(step_work_), "there is no memory to see whether the step is finite");
  }
}

void Run::MakeRoomForStep() {
  const bool made =
      environment_.budget->TrimIfWanted() || environment_.readers->GiveBack(memory_.store.get());
  {
    MutexLock lock(&mutex_);
    makes_room_ = false;
    if (!Settled()) return;  // Whoever is at it goes on with the next step.
    BeginStepIfDue(/*room_is_made=*/!made);
    if (!step_work_) return;
  }
  ApplySteps();
}

bool Run::LeavesEarly(const StepWork& work, const PendingPush& pending) {
  const WorkerSession* const session = pending.session.get();
  return !work.watched && pending.want_parameters && session != nullptr &&
         MemberOf(session) != nullptr &&
         session->state_.gradient == nullptr &&  // Otherwise it maps them all at once.
         store_.block_count() > 1;               // A single one travels as soon with the result.
}

bool Run::ReserveForStep(StepWork* work, bool room_is_made) {
  float largest = 0;
  std::vector<std::shared_ptr<const StagedPush>> pushes;
  for (const PendingPush& pending : work->pushes) {
    largest = std::max(largest, pending.push->largest());
    pushes.push_back(pending.push);
  }
  work->watched =
      !guard_.KnowsFinite(largest, std::max(work->learning_rate, work->rate_without_warm_up) *
                                       work->plan->largest_rate_factor());
  const auto reserve = [&] {
    return gradd::ReserveForStep(
        TouchedBlocks(pushes, *work->plan, store_, layout_.element_count()), store_,
        memory_.store.get(), *environment_.readers, room_is_made, &work->next);
  };
  try {
    if (work->watched) {
      try {
        work->undo.emplace(store_, *work->plan, environment_.budget.get());
        if (reserve()) return true;
      } catch (const std::bad_alloc&) {
        // As where there is no room.
      }
      work->undo.reset();
      if (!room_is_made) return false;
      // Without one to blame, the step is taken in place: to wait for memory could be for ever.
      if (largest > kSafeGradient) return false;
    }
    for (const PendingPush& pending : work->pushes) {
      if (!LeavesEarly(*work, pending)) continue;
      const v1::Encoding encoding = pending.session->state_.parameter_encoding;
      std::shared_ptr<Snapshot>& next = work->next[encoding];
      if (next == nullptr) next = store_.NextSnapshot(encoding);
    }
    return reserve();
  } catch (const std::bad_alloc&) {
    work->undo.reset();
    return false;
  }
}

void Run::PutBack(std::unique_ptr<StepWork> work) {
  for (auto pending = work->pushes.rbegin(); pending != work->pushes.rend(); ++pending) {
    GRADD_DCHECK(!pending->answered, absl::StrCat(pending->worker, " was told: applied"));
    pending_.push_front(std::move(*pending));
  }
}

bool Run::RejectLarge(std::unique_ptr<StepWork> work, absl::string_view why) {
  const auto small = std::stable_partition(
      work->pushes.begin(), work->pushes.end(),
      [](const PendingPush& pending) { return pending.push->largest() > kSafeGradient; });
  const bool any = small != work->pushes.begin();
  for (auto pending = work->pushes.begin(); pending != small; ++pending) {
    RejectPending(*pending, GradientTooLargeError(pending->push->largest(), why));
  }
  for (auto pending = work->pushes.begin(); pending != small; ++pending) {
    if (pending->session && MemberOf(pending->session.get()) != nullptr) {
      if (pending->session->state_.held) ScheduleRetry(pending->session);
      EndIfHalfClosed(pending->session.get());
    }
  }
  work->pushes.erase(work->pushes.begin(), small);
  PutBack(std::move(work));
  return any;
}

void Run::RejectPending(const PendingPush& pending, const absl::Status& why) {
  GRADD_DCHECK(!pending.answered, absl::StrCat(pending.worker, " was told: applied"));
  if (pending.claim != nullptr && pending.claim == step_claim_.claim) ++step_claim_.left;
  const auto found = members_.find(pending.worker);
  if (found == members_.end()) return;
  Member& member = found->second;
  member.pending_sequence = 0;
  if (!member.session || member.session != pending.session) return;
  SendRejection(member.session.get(), pending.push->header().sequence(), why);
}

void Run::PauseBecause(const std::string& reason) {
  if (state_ == v1::RUN_STATE_RUNNING) {
    SetState(v1::RUN_STATE_PAUSED, "", reason);
    Broadcast(v1::RUN_EVENT_KIND_PAUSED);
  }
  if (trial_log_ != nullptr) {
    trial_log_->Refuse(Error(absl::StatusCode::kOutOfRange, "NON_FINITE", reason));
  }
}

void Run::AnswerEarly(StepWork* work) {
  for (PendingPush& pending : work->pushes) {
    if (work->next.empty() || !LeavesEarly(*work, pending)) continue;
    WorkerSession* const session = pending.session.get();
    SendResult(session, pending.push->header().sequence(), v1::PUSH_OUTCOME_APPLIED, step_ + 1,
               /*parameters_follow=*/true);
    ++session->state_.parameters_on_way;
    session->state_.parameters_step = step_ + 1;
    session->state_.parameters_due_at = absl::InfiniteDuration();
    // In the ledger at once: a worker whose stream breaks now asks at its next join.
    Member* const member = MemberOf(session);
    GRADD_DCHECK(pending.push->header().sequence() == member->last_sequence + 1,
                 absl::StrCat("push ", pending.push->header().sequence(), " of ", pending.worker,
                              " after ", member->last_sequence));
    member->last_sequence = pending.push->header().sequence();
    member->last_outcome = v1::PUSH_OUTCOME_APPLIED;
    const v1::Encoding encoding = session->state_.parameter_encoding;
    session->state_.sink->SendParameters(work->next[encoding], encoding);
    pending.answered = true;
  }
}

void Run::Advance() {
  {
    MutexLock lock(&mutex_);
    if (!Settled()) return;  // Whoever applies it goes on with the next one.
    BeginStepIfDue();
    if (!step_work_) return;
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
    StepWork* work = nullptr;
    {
      MutexLock lock(&mutex_);
      work = step_work_.get();
    }
    ApplyStep(work);
    std::unique_ptr<StepWork> applied;
    bool goes_on = false;
    bool fills = false;
    {
      MutexLock lock(&mutex_);
      applied = CompleteStep();
      BeginStepIfDue();
      goes_on = step_work_ != nullptr;
      fills = change_ != nullptr;
    }
    applied.reset();
    if (fills) return FillChanges();
    if (!goes_on) return FreeIfDeleted();
  }
  pool_->Schedule([self = shared_from_this()] { self->ApplySteps(); });
}

void Run::ApplyStep(StepWork* work) {
  const absl::Duration begin = environment_.clock->Elapsed();
  std::vector<std::shared_ptr<const StagedPush>> pushes;
  float largest = 0;
  for (const PendingPush& pending : work->pushes) {
    pushes.push_back(pending.push);
    largest = std::max(largest, pending.push->largest());
  }
  UpdatePlan& plan = *work->plan;
  if (work->undo.has_value() && !work->undo->SavePlan(plan)) {
    work->undo.reset();
    // As in ReserveForStep(): only a push that could be to blame is worth its rejection.
    work->undone = largest > kSafeGradient;
    if (work->undone) return;
  }
  const Aggregate aggregate(std::move(pushes),
                            [&plan](int64_t element) { return plan.IsLazy(element); });
  const bool by_spans = aggregate.has_lazy_rows();
  plan.BeginStep({work->step, work->learning_rate, aggregate.loss(), work->momentum,
                  work->rate_without_warm_up},
                 by_spans);
  for (int pass = 0; pass < plan.transform_passes(); ++pass) {
    pool_->ParallelFor(plan.transformed_tensors(), [&](int64_t tensor) {
      Aggregate::Reader gradient(aggregate, plan.transformed_begin(tensor));
      ParameterStore::Reader parameters(store_, plan.transformed_begin(tensor));
      plan.TransformTensor(tensor, &gradient, &parameters);
    });
    plan.EndTransforms();
  }
  for (int pass = 0; pass < plan.sum_passes(); ++pass) {
    pool_->ParallelFor(store_.block_count(), [&](int64_t block) {
      const ParameterStore::BlockUpdate read = store_.ReadBlock(block);
      if (by_spans) {
        Aggregate::SpanReader gradient(aggregate, read.begin);
        plan.SumSpans(read, &gradient);
      } else {
        Aggregate::Reader gradient(aggregate, read.begin);
        plan.SumBlock(read, &gradient);
      }
    });
    plan.EndSums();
  }
  if (by_spans && plan.NeedsMeasure()) {
    pool_->ParallelFor(store_.block_count(),
                       [&](int64_t block) { plan.MeasureBlock(store_.ReadBlock(block)); });
  }
  pool_->ParallelFor(store_.block_count(), [&](int64_t block) {
    if (by_spans) {
      UpdateSpans(aggregate, &plan, block);
      for (const auto& [encoding, next] : work->next) store_.Publish(block, next.get());
      return;
    }
    std::optional<EncodedBlocks> encoded;
    store_.UpdateBlock(block, [&](const ParameterStore::BlockUpdate& update) {
      Aggregate::Reader gradient(aggregate, update.begin);
      encoded = store_.BeginPublishing(update, work->next);
      plan.UpdateBlock(update, &gradient, &*encoded);
    });
    store_.Publish(block, work->next, &*encoded);
  });
  store_.CommitStep();

  const TileNorms sum = plan.EndStep();
  work->statistics.loss = aggregate.loss();
  work->statistics.examples = aggregate.examples();
  work->statistics.staleness = work->staleness;
  work->statistics.gradient_norm = std::sqrt(sum.gradient);
  work->statistics.update_norm = std::sqrt(sum.update);
  work->statistics.parameter_norm = std::sqrt(sum.parameters);
  work->finite = std::isfinite(sum.update) && std::isfinite(sum.parameters);
  if (work->watched) {
    CheckStep(work);
  } else {
    work->guard.StepTaken(work->statistics.parameter_norm);
  }
  work->statistics.apply_time = environment_.clock->Elapsed() - begin;
}

void Run::CheckStep(StepWork* work) {
  work->finite = work->finite && StepUndo::Accept(store_, *work->plan, pool_.get(), &work->guard);
  if (!work->undo.has_value()) return;
  work->undone = !work->finite && work->undo->Undo(&store_, work->plan.get()).ok();
  work->undo.reset();  // From now on steps write in place again.
}

void Run::UpdateSpans(const Aggregate& aggregate, UpdatePlan* plan, int64_t block) {
  const int64_t begin = store_.block_begin(block);
  const int64_t end = std::min(begin + store_.block_elements(), layout_.element_count());
  Aggregate::SpanReader gradient(aggregate, begin);
  if (gradient.Seek(end) == end) return;
  store_.UpdateBlockInPlace(block, [&](const ParameterStore::BlockUpdate& update) {
    plan->UpdateSpans(update, &gradient);
  });
}

std::unique_ptr<Run::StepWork> Run::CompleteStep() {
  std::unique_ptr<StepWork> work = std::move(step_work_);
  const bool undone = work->undone;
  if (!undone) {
    ++step_;
    guard_ = work->guard;
  }
  GRADD_DCHECK(store_.step() == step_,
               absl::StrCat("the store is at step ", store_.step(), ", the run at ", step_));
  BeginChange();
  memory_.store->EndReservations(ReservedFor::kStep);
  if (deleted_) {
    // Nobody waits for it.
  } else if (!undone) {
    CountStep(*work);
    if (!work->finite) {
      PauseBecause(absl::StrCat("the parameters are not finite after step ", step_,
                                ": create the run anew, with a smaller learning rate"));
    }
  } else if (!RejectLarge(std::move(work), "with it the step's result is not finite")) {
    PauseBecause(absl::StrCat("step ", step_ + 1,
                              " was undone, since its result is not finite at a ",
                              "learning rate of ", RateAt(step_)));
  }
  if (undone) SupersedeOldPushes();  // The policy may be another one since.
  if (undone && !pending_.empty()) first_pending_at_ = environment_.clock->Elapsed();
  SendSnapshots();
  FinishIfDone();
  TellHolder();
  if (draining_) EndIdleSessions();
  return work;
}

void Run::CountStep(const StepWork& work) {
  skipped_in_a_row_ = 0;
  step_claim_ = {};
  progress_.AddStep(work.statistics);
  if (trial_log_ != nullptr) {
    v1::TrialStep step;
    step.set_step(step_);
    step.set_loss(work.statistics.loss);
    step.set_smoothed_loss(progress_.smoothed_loss());
    step.set_learning_rate(work.learning_rate);
    trial_log_->AddStep(std::move(step), environment_.clock->Elapsed());
  }
  const double factor = plateau_.factor();
  if (plateau_.ObserveTrainingLoss(step_, progress_.smoothed_loss())) RecordReduction(factor);
  completed_at_ = environment_.clock->Elapsed();
  progress_.pace().AddStep(completed_at_);
  NoteMove();
  signs_.non_finite_pushes = 0;
  for (const PendingPush& pending : work.pushes) {
    StepProfile& profile = progress_.profile();
    profile.Add(StepProfile::kReceive, pending.arrival.receive);
    profile.Add(StepProfile::kStage, pending.arrival.stage);
    profile.Add(StepProfile::kWait, work.begin_at - pending.arrival.complete_at);
  }
  SupersedeOldPushes();
  if (!pending_.empty()) first_pending_at_ = environment_.clock->Elapsed();
  for (const PendingPush& pending : work.pushes) Resolve(pending, v1::PUSH_OUTCOME_APPLIED);
}

double Run::RateAt(int64_t step) const {
  const bool warms_up = !OwnRate(spec_.optimizer().kind_case()).has_value();
  return plateau_.factor() * (warms_up ? LearningRate(spec_.schedule(), step)
                                       : LearningRateWithoutWarmUp(spec_.schedule(), step));
}

void Run::RecordReduction(double old_factor) {
  const double rate = RateAt(OpenStep());
  Record("reduce_on_plateau", "schedule.reduce_on_plateau",
         absl::StrFormat("%.15g", rate / plateau_.factor() * old_factor),
         absl::StrFormat("%.15g", rate));
}

void Run::FinishIfDone() {
  if (state_ == v1::RUN_STATE_FINISHED || spec_.max_steps() == 0 || step_ < spec_.max_steps()) {
    return;
  }
  SetState(v1::RUN_STATE_FINISHED, "");
  if (trial_log_ == nullptr) LogEvent(LogEntry::Level::kInfo, "run finished", EndFields());
  for (const PendingPush& pending : std::exchange(pending_, {})) {
    RejectPending(pending, RunFinishedError());
  }
  Broadcast(v1::RUN_EVENT_KIND_FINISHED);
  RetryAllHeld();
  for (const auto& [worker, member] : live_) {
    if (member->session) EndIfHalfClosed(member->session.get());
  }
}

}  // namespace gradd
