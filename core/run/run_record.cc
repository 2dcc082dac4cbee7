#include "core/run/run_record.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/check.h"
#include "core/optim/own_rate.h"
#include "core/optim/skip_non_finite.h"
#include "core/run/field_json.h"
#include "core/schedule/schedule.h"
#include "core/step/window.h"
#include "google/protobuf/util/field_mask_util.h"

namespace gradd {
namespace {

absl::Duration SinceEpoch(const google::protobuf::Timestamp& time) {
  return absl::Seconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// As JSON has it.
std::string StateText(v1::RunState state) {
  return absl::StrCat("\"", v1::RunState_Name(state), "\"");
}

}  // namespace

absl::Time RunRecord::state_time() const { return absl::UnixEpoch() + SinceEpoch(state_time_); }

void RunRecord::Apply(const state::v1::Event& event) {
  using Kind = state::v1::Event;
  GRADD_DCHECK(event.number() == events_ + 1 && !deleted_,
               absl::StrCat("event ", event.number(), " after ", events_));
  events_ = event.number();
  switch (event.kind_case()) {
    case Kind::kCreated:
      return Create(event.created(), event.time());
    case Kind::kStep:
      return MakeStep(event.step(), event.time());
    case Kind::kFold:
      return Fold(event.fold());
    case Kind::kAnswer:
      Answer(event.answer());
      // What was skipped may have been the last of the data.
      if (done()) ChangeState(v1::RUN_STATE_FINISHED, "", "", event.time());
      return;
    case Kind::kMember:
      return ChangeMember(event.member(), event.time());
    case Kind::kLease:
      return ChangeLease(event.lease());
    case Kind::kChange:
      return ChangeSpec(event.change(), event.time());
    case Kind::kEvaluation:
      return Evaluate(event.evaluation(), event.time());
    case Kind::kState:
      ChangeState(event.state().state(), event.state().author(), event.state().reason(),
                  event.time());
      if (event.state().has_guarded_since_step()) {
        guarded_since_ = event.state().guarded_since_step();
      }
      awaits_rollback_ = event.state().awaits_rollback();
      return;
    case Kind::kTimeline:
      return BeginTimeline(event.timeline(), event.time());
    case Kind::kRestored:
      return Restore(event.restored());
    case Kind::kDeleted:
      deleted_ = true;
      return;
    case Kind::KIND_NOT_SET:
      GRADD_DCHECK(false, "an event of no kind");
  }
}

void RunRecord::Create(const state::v1::RunCreated& created, const Time& time) {
  spec_ = created.spec();
  spec_.clear_layout();
  timeline_ = std::make_shared<const Timeline>(Timeline{created.uid(), 1});
  create_time_ = time;
  request_id_ = created.request_id();
  state_time_ = time;
  if (spec_.has_data()) batches_.emplace(spec_.data());
  ConfigureParts();
}

void RunRecord::ConfigureParts() {
  policy_ = MakeStepPolicy(spec_.policy());
  plateau_.Configure(spec_.schedule());
  members_.Configure(WindowOf(spec_.optimizer()), policy_->forgives());
  members_.FormWith(policy_->starts_with());
}

void RunRecord::EnterTaken(const state::v1::DecidedPush& push, v1::PushOutcome outcome) {
  outcomes_.Add(outcome);
  Member* const member = members_.Find(push.worker());
  GRADD_DCHECK(member != nullptr, absl::StrCat(push.worker(), " has never joined"));
  if (member == nullptr) return;
  // A ledger that skips or goes back would lose pushes, or apply them twice.
  GRADD_DCHECK(push.sequence() == member->ledger.sequence + 1,
               absl::StrCat("push ", push.sequence(), " of ", push.worker(), " after ",
                            member->ledger.sequence));
  member->ledger = {push.sequence(), outcome, step_, timeline_->number};
  member->last_base_step = push.base_step();
  ++member->applied_pushes;
  members_.PushTaken(member);
  blobs_.Keep(push.worker(), timeline_->number, push.sequence(), push.blob());
  if (batches_.has_value()) batches_->Use(push.worker(), push.batches());
}

void RunRecord::MakeStep(const state::v1::StepDecision& decision, const Time& time) {
  GRADD_DCHECK(decision.step() == step_ + 1,
               absl::StrCat("step ", decision.step(), " after ", step_));
  step_ = decision.step();
  for (const state::v1::DecidedPush& push : decision.used()) {
    EnterTaken(push, v1::PUSH_OUTCOME_APPLIED);
  }
  for (const state::v1::AnsweredPush& other : decision.others()) Answer(other);
  members_.StepMade(decision.missing());
  window_ = {};
  skipped_in_a_row_ = 0;
  if (decision.has_quorum_lag_seconds()) {
    constexpr double kKept = 0.9;
    const double lag = decision.quorum_lag_seconds();
    quorum_lag_seconds_ = kKept * quorum_lag_seconds_.value_or(lag) + (1 - kKept) * lag;
  }
  losses_.AddStep(decision.loss(), decision.examples(), decision.staleness());
  const double factor = plateau_.factor();
  if (plateau_.ObserveTrainingLoss(step_, losses_.summary().smoothed)) AddReduction(time, factor);
  if (done()) ChangeState(v1::RUN_STATE_FINISHED, "", "", time);
}

void RunRecord::Fold(const state::v1::FoldedPush& fold) {
  EnterTaken(fold.push(), v1::PUSH_OUTCOME_ACCUMULATED);
  if (Member* const member = members_.Find(fold.push().worker()); member != nullptr) {
    members_.PushFolded(member);
  }
  window_.Add(fold, step_);
}

bool RunRecord::MaySkip(int64_t others) const {
  // Valid since the run was created or updated.
  return skipped_in_a_row_ + others < *ReadSkipNonFinite(spec_.optimizer());
}

void RunRecord::Answer(const state::v1::AnsweredPush& answer) {
  outcomes_.Add(answer.outcome());
  Member* const member = members_.Find(answer.worker());
  GRADD_DCHECK(member != nullptr, absl::StrCat(answer.worker(), " has never joined"));
  if (member == nullptr) return;
  ++member->rejected_pushes;
  if (answer.outcome() == v1::PUSH_OUTCOME_REJECTED) return;
  member->last_base_step = answer.base_step();
  if (answer.outcome() == v1::PUSH_OUTCOME_ROLLED_BACK) return;
  GRADD_DCHECK(answer.sequence() == member->ledger.sequence + 1,
               absl::StrCat("push ", answer.sequence(), " of ", answer.worker(), " after ",
                            member->ledger.sequence));
  member->ledger = {answer.sequence(), answer.outcome(), answer.step(), timeline_->number};
  blobs_.Keep(answer.worker(), timeline_->number, answer.sequence(), answer.blob());
  const bool skipped = answer.outcome() == v1::PUSH_OUTCOME_SKIPPED;
  if (skipped) ++skipped_in_a_row_;
  if (!batches_.has_value()) return;
  if (skipped) {
    batches_->Skip(answer.worker(), answer.batches());
  } else {
    batches_->Return(answer.worker(), answer.batches());
  }
}

void RunRecord::ChangeMember(const state::v1::MemberChange& change, const Time& time) {
  using Change = state::v1::MemberChange;
  const std::string& worker = change.worker();
  if (change.kind() == Change::KIND_JOINED) {
    members_.Join(worker).address = change.address();
    members_.FormWith(policy_->starts_with());
    return;
  }
  Member* const member = members_.Find(worker);
  GRADD_DCHECK(member != nullptr && member->live(), absl::StrCat(worker, " is not there"));
  if (member == nullptr || !member->live()) return;
  if (change.kind() == Change::KIND_EXPECTED) return members_.Expect(member);
  members_.Retire(
      worker, change.kind() == Change::KIND_LEFT ? v1::WORKER_STATE_LEFT : v1::WORKER_STATE_EXPIRED,
      SinceEpoch(time), change.unread());
  if (batches_.has_value()) batches_->Lose(worker);
  if (change.kind() == Change::KIND_LEFT) blobs_.Drop(worker);
}

void RunRecord::ChangeLease(const state::v1::DataLease& lease) {
  GRADD_DCHECK(batches_.has_value(), absl::StrCat(lease.worker(), " has batches of no data set"));
  if (!batches_.has_value()) return;
  if (lease.kind() == state::v1::DataLease::KIND_GRANTED) {
    if (lease.waited()) {
      members_.CatchUp(lease.worker(),
                       [&](const std::string& other) { return batches_->HasAny(other); });
    }
    batches_->Grant(lease.worker(), lease.ranges());
  } else if (lease.kind() == state::v1::DataLease::KIND_LOST) {
    batches_->Lose(lease.worker(), lease.ranges());
  } else {
    batches_->Return(lease.worker(), lease.ranges());
  }
}

void RunRecord::ChangeSpec(const state::v1::SpecChange& change, const Time& time) {
  using google::protobuf::util::FieldMaskUtil;
  const v1::Run before = std::move(spec_);
  const bool held_back = policy_->holds_back();
  spec_ = change.spec();
  spec_.clear_layout();
  ConfigureParts();
  // What others did until now is nobody's lag.
  if (policy_->holds_back() && !held_back) members_.StartTogether();
  google::protobuf::FieldMask changed = change.mask();
  // What an optimizer with a rate of its own, and another curve, bring along.
  for (const char* const path : {"schedule.learning_rate", "schedule.begins_at"}) {
    if (!FieldMaskUtil::IsPathInFieldMask(path, change.mask())) changed.add_paths(path);
  }
  for (const std::string& path : changed.paths()) {
    const std::string old_value = FieldJson(before, path);
    const std::string new_value = FieldJson(spec_, path);
    if (old_value != new_value) AddToHistory(time, change.author(), path, old_value, new_value);
  }
  if (done()) return ChangeState(v1::RUN_STATE_FINISHED, "", "", time);
  // One that was finished early goes on only if it is told for how long.
  const auto& paths = change.mask().paths();
  const bool longer = std::find(paths.begin(), paths.end(), "max_steps") != paths.end();
  if (state_ == v1::RUN_STATE_FINISHED && longer) {
    ChangeState(v1::RUN_STATE_RUNNING, change.author(), "", time);
  }
}

void RunRecord::Evaluate(const v1::Evaluation& evaluation, const Time& time) {
  evaluation_ = evaluation;
  EvaluationPoint point = {timeline_->number, evaluation.step(),
                           absl::ToDoubleSeconds(SinceEpoch(time)), evaluation.loss(),
                           std::nullopt};
  if (evaluation.has_accuracy()) point.accuracy = evaluation.accuracy();
  evaluations_.Add(point);
  const double factor = plateau_.factor();
  if (plateau_.ObserveEvaluation(evaluation)) AddReduction(time, factor);
}

void RunRecord::BeginTimeline(const state::v1::TimelineBegun& begun, const Time& time) {
  const uint64_t ended = timeline_->number;
  GRADD_DCHECK(begun.number() == ended + 1,
               absl::StrCat("timeline ", begun.number(), " after ", ended));
  timeline_ = std::make_shared<const Timeline>(Timeline{timeline_->run_uid, begun.number()});
  if (batches_.has_value()) batches_->EndAll();
  past_.Begin(begun.number(), step_);
  AddToHistory(time, begun.author(), "timeline", absl::StrCat(ended), absl::StrCat(begun.number()));
}

void RunRecord::Restore(const state::v1::RunRestored& restored) {
  const int64_t number = events_;
  GRADD_DCHECK(restored.number() == timeline_->number + 1 && restored.state().events() == number,
               absl::StrCat("timeline ", restored.number(), " after ", timeline_->number));
  // Whoever made the event has read the state before. (Signs of life are none of the record's.)
  const absl::Status read = Read(restored.state(), absl::ZeroDuration());
  GRADD_DCHECK(read.ok(), std::string(read.message()));
  events_ = number;
  if (batches_.has_value()) batches_->EndAll();
}

void RunRecord::ChangeState(v1::RunState state, const std::string& author,
                            const std::string& reason, const Time& time) {
  if (state == state_) return;
  state_author_ = author;
  state_reason_ = reason;
  state_time_ = time;
  awaits_rollback_ = false;
  AddToHistory(time, author, "state", StateText(state_), StateText(state));
  state_ = state;
}

const v1::RestoreRunResponse* RunRecord::FindRestore(const std::string& request_id) const {
  if (request_id.empty()) return nullptr;
  for (const state::v1::AnsweredRestore& restore : restores_) {
    if (restore.request_id() == request_id) return &restore.answer();
  }
  return nullptr;
}

StepRates RunRecord::RatesAt(int64_t step) const {
  const double factor = plateau_.factor();
  return {LearningRate(spec_.schedule(), step) * factor,
          LearningRateWithoutWarmUp(spec_.schedule(), step) * factor,
          Momentum(spec_.schedule(), step)};
}

double RunRecord::RateAt(int64_t step) const {
  const bool warms_up = !OwnRate(spec_.optimizer().kind_case()).has_value();
  return plateau_.factor() * (warms_up ? LearningRate(spec_.schedule(), step)
                                       : LearningRateWithoutWarmUp(spec_.schedule(), step));
}

void RunRecord::AddReduction(const Time& time, double old_factor) {
  const double rate = RateAt(step_);
  AddToHistory(time, "reduce_on_plateau", "schedule.reduce_on_plateau",
               absl::StrFormat("%.15g", rate / plateau_.factor() * old_factor),
               absl::StrFormat("%.15g", rate));
}

void RunRecord::AddToHistory(const Time& time, const std::string& author, const std::string& field,
                             const std::string& old_value, const std::string& new_value) {
  v1::Change change;
  *change.mutable_time() = time;
  change.set_step(step_);
  change.set_author(author);
  change.set_field(field);
  change.set_old_value(old_value);
  change.set_new_value(new_value);
  history_.Add(std::move(change));
}

}  // namespace gradd
