// What workers send, and what they are answered.

#include "tests/core/run/schedules/run_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/step/window.h"

namespace gradd {
namespace {

constexpr auto kUnknown = v1::PUSH_OUTCOME_UNSPECIFIED;

bool IsTakenBy(v1::PushOutcome outcome) {
  return outcome == v1::PUSH_OUTCOME_APPLIED || outcome == v1::PUSH_OUTCOME_ACCUMULATED;
}

std::string NameOfPush(const std::string& worker, int64_t sequence) {
  return absl::StrCat("push ", sequence, " of ", worker);
}

}  // namespace

RunModel::RunModel(std::shared_ptr<Run> run, bool room_is_short, const Clock* clock,
                   const DataModel* data)
    : run_(std::move(run)),
      room_is_short_(room_is_short),
      clock_(clock),
      data_(data),
      reference_(run_->layout().element_count()) {
  ReadSpec(run_->Describe(Run::Detail::kSummary), /*undisturbed=*/true);
  sure_ = false;  // Until the first look at the parameters.
}

void RunModel::Fail(const std::string& what) {
  if (fault_.empty()) {
    fault_ = absl::StrCat("run ", run_->run_id(), " at step ", now_.step, ": ", what);
  }
}

RunModel::Regime RunModel::RegimeOf(const v1::Run& spec) const {
  Regime regime = now_;
  regime.synchronous = spec.policy().has_synchronous();
  const v1::Synchronous& synchronous = spec.policy().synchronous();
  regime.workers = regime.synchronous ? synchronous.workers() : 0;
  regime.deadline = FromProto(synchronous.deadline());
  regime.forgives = !regime.synchronous                  ? 0
                    : synchronous.has_missed_deadlines() ? synchronous.missed_deadlines()
                                                         : 3;
  regime.quorum = synchronous.quorum();
  regime.grace = FromProto(synchronous.grace());
  regime.adaptive_grace = synchronous.adaptive_grace();
  regime.carried_staleness = synchronous.late_pushes() == v1::LATE_PUSHES_CARRIED ? 1 : 0;
  const v1::Asynchronous& asynchronous = spec.policy().asynchronous();
  regime.max_staleness =
      asynchronous.has_max_staleness() ? std::optional(asynchronous.max_staleness()) : std::nullopt;
  regime.corrects =
      !regime.synchronous && asynchronous.correction() == v1::STALENESS_CORRECTION_LEARNING_RATE;
  regime.compensates = asynchronous.has_delay_compensation();
  regime.decays = asynchronous.has_age_decay();
  regime.alpha = asynchronous.age_decay().alpha();
  regime.cutoff = asynchronous.age_decay().has_cutoff()
                      ? std::optional(asynchronous.age_decay().cutoff())
                      : std::nullopt;
  regime.bound = spec.policy().has_bounded_staleness()
                     ? std::optional(spec.policy().bounded_staleness().bound())
                     : std::nullopt;
  regime.rate = spec.schedule().learning_rate();
  regime.window = WindowOf(spec.optimizer());
  regime.skips = spec.optimizer().has_skip_non_finite()
                     ? spec.optimizer().skip_non_finite().max_in_a_row()
                     : 0;
  regime.is_sgd = spec.optimizer().has_sgd();
  regime.lease = FromProto(spec.lease_duration());
  return regime;
}

int64_t RunModel::live() const {
  return std::count_if(members_.begin(), members_.end(),
                       [](const auto& entry) { return entry.second.live; });
}

void RunModel::Joined(const ScriptedWorker* stream) {
  Member& member = members_[stream->worker()];
  if (member.stream != nullptr) Closed(member.stream);
  member.stream = stream;
  member.live = true;
  member.leaves = false;
  member.just_joined = true;
  joined_ = true;
  member.last_sign = clock_->Elapsed();
  member.joined_after = completions_;
  const v1::Welcome& welcome = *stream->welcome();
  if (welcome.last_sequence() != member.sequence) {
    Fail(absl::StrCat("welcome.last_sequence of ", stream->worker(), " is ",
                      welcome.last_sequence(), ", and its ledger ", member.sequence));
  }
  if (welcome.timeline() != now_.timeline) {
    Fail(absl::StrCat("welcome.timeline is ", welcome.timeline(), " and not ", now_.timeline));
  }
  FormIfAllAreThere();
}

void RunModel::EndedWithTimeline(const ScriptedWorker* stream, bool says_timelines) {
  if (says_timelines || stream->welcome()->timeline() == now_.timeline) {
    Fail(absl::StrCat("the stream of ", stream->worker(), " ended for want of a timeline, and it ",
                      says_timelines ? "has sent one" : "needs none"));
  }
}

void RunModel::SignOfLife(const std::string& worker) {
  members_[worker].last_sign = clock_->Elapsed();
}

void RunModel::Began(const ScriptedWorker* stream, const SentPush& sent) {
  Push push;
  static_cast<SentPush&>(push) = sent;
  push.since = push.taken_since = past_.size();
  push.stream = stream;
  push.worker = stream->worker();
  push.ledger = members_[push.worker].sequence;
  unanswered_[stream].push_back(std::move(push));
}

void RunModel::Completed(const ScriptedWorker* stream, bool surely) {
  std::deque<Push>& queue = unanswered_[stream];
  if (queue.empty() || queue.back().complete >= 0) return;  // It was refused before its end.
  Push& push = queue.back();
  push.complete = ++completions_;
  push.complete_at = clock_->Elapsed();
  push.complete_since = past_.size();
  push.surely = surely;
  Member& member = members_[push.worker];
  if (member.pending.has_value()) {
    // Complete since an earlier stream: this one gets its answer.
    if (IsPending(push, member) && member.pending->stream != stream) {
      // An earlier one that is refused with nobody there to be told cannot be told from one that
      // waits: which of the two counts is not known.
      const bool unsure = MayBeGone(*member.pending);
      member.pending->stream = stream;
      member.pending->unsure = unsure;
      push.took_over = !unsure;
    }
    return;
  }
  if (push.sequence != member.sequence + 1 || push.malformed || push.non_finite) return;
  if (push.timeline != now_.timeline) return;
  // Where steps and folds are made on the pool, the first one may have been taken already.
  const bool first = window_.empty() && !AnyPending();
  if (first || !IsSmall()) waited_since_ = clock_->Elapsed();
  member.pending = push;
}

void RunModel::Aborted(const ScriptedWorker* stream, int64_t sequence, bool surely) {
  std::deque<Push>& queue = unanswered_[stream];
  Member& member = members_[stream->worker()];
  const auto same = [&](const Push& push) { return push.sequence == sequence; };
  if (!queue.empty() && queue.back().complete < 0 && same(queue.back())) {
    Push& incoming = queue.back();
    // That is its end.
    incoming.complete = ++completions_;
    incoming.complete_at = clock_->Elapsed();
    incoming.complete_since = past_.size();
    incoming.aborted = true;
    if (IsPending(incoming, member) && member.pending->stream != stream) {
      // It waits since an earlier stream; unless its step is on its way, it is that one.
      const bool unsure = MayBeGone(*member.pending);
      member.pending->stream = stream;
      member.pending->unsure = unsure;
      member.pending->aborted = true;
      incoming.took_over = !unsure;
    }
    return;
  }
  if (!member.pending.has_value() || !same(*member.pending) || member.pending->stream != stream)
    return;
  member.pending->aborted = true;
  if (!surely) member.pending->unsure = true;
  for (Push& push : queue) push.aborted = push.aborted || same(push);
}

void RunModel::Answered(const ScriptedWorker* stream, const v1::PushResult& result) {
  std::deque<Push>& queue = unanswered_[stream];
  Member& member = members_[stream->worker()];
  const std::string name = NameOfPush(stream->worker(), result.sequence());
  const auto outcome = result.outcome();
  const bool at_once =
      outcome == v1::PUSH_OUTCOME_DUPLICATE || outcome == v1::PUSH_OUTCOME_ROLLED_BACK ||
      outcome == v1::PUSH_OUTCOME_RESEND || outcome == v1::PUSH_OUTCOME_ABORTED ||
      (outcome == v1::PUSH_OUTCOME_REJECTED && result.reason() != "GRADIENT_TOO_LARGE");
  const auto same = [&](const Push& push) { return push.sequence == result.sequence(); };
  auto found = std::find_if(queue.begin(), queue.end(), same);
  if (found == queue.end()) return Fail(absl::StrCat(name, " is answered once more"));
  // Of those that are not refused, all are complete.
  const bool of_last = outcome == v1::PUSH_OUTCOME_REJECTED || queue.back().complete >= 0;
  if (at_once && of_last && same(queue.back())) found = queue.end() - 1;
  if (found != queue.begin() && !at_once) {
    Fail(absl::StrCat(name, " is answered before push ", queue.front().sequence));
  }
  const bool of_pending = IsPending(*found, member);
  // Of a push that was complete in an earlier stream, the answer is about that one.
  const Push push = of_pending && !at_once ? *member.pending : *found;
  const Push answered = *found;
  queue.erase(found);
  if (outcome != v1::PUSH_OUTCOME_ROLLED_BACK && outcome != v1::PUSH_OUTCOME_DUPLICATE &&
      outcome != v1::PUSH_OUTCOME_REJECTED && outcome != v1::PUSH_OUTCOME_ABORTED &&
      !Since(push.complete_since,
             [&](const Regime& regime) { return push.timeline == regime.timeline; })) {
    Fail(absl::StrCat(name, " is ", v1::PushOutcome_Name(outcome), ", and its timeline ",
                      push.timeline, " is not the present one"));
  }
  switch (outcome) {
    case v1::PUSH_OUTCOME_APPLIED:
    case v1::PUSH_OUTCOME_ACCUMULATED: {
      if (!of_pending) return Fail(absl::StrCat(name, " is part of a step and was not complete"));
      Push taken = push;
      taken.part_of = result.step() + (outcome == v1::PUSH_OUTCOME_APPLIED ? 0 : 1);
      if (!Since(taken.since, [](const Regime& regime) {
            return regime.moves || regime.state == v1::RUN_STATE_FINISHED;
          })) {
        Fail(absl::StrCat(name, " became part of a step while the run stood still"));
      }
      EnterLedger(&member, taken, outcome, /*taken=*/true);
      break;
    }
    case v1::PUSH_OUTCOME_STALE:
      if (!of_pending || !Since(push.since, [&](const Regime& regime) {
            const int64_t age = regime.step - push.base_step;
            return (regime.max_staleness.has_value() && age > *regime.max_staleness) ||
                   (regime.cutoff.has_value() && age >= *regime.cutoff) ||
                   (regime.compensates && age > 0);
          })) {
        Fail(absl::StrCat(name, " is called stale and is not"));
      }
      EnterLedger(&member, push, outcome, /*taken=*/false);
      break;
    case v1::PUSH_OUTCOME_SUPERSEDED: {
      const int64_t on_its_way = IsSmall() ? 0 : 1;
      if (!Since(push.since, [&](const Regime& regime) {
            // Nothing is carried into a step that does not come.
            const bool over = drains_ || regime.state == v1::RUN_STATE_FINISHED;
            return regime.synchronous && push.base_step < regime.step + on_its_way -
                                                              (over ? 0 : regime.carried_staleness);
          })) {
        Fail(absl::StrCat(name, " from step ", push.base_step, " is superseded for no reason"));
      }
      EnterLedger(&member, push, outcome, /*taken=*/false);
      break;
    }
    case v1::PUSH_OUTCOME_BATCH_USED:  // Whether it is too late, DataModel sees by the event.
      if (data_ == nullptr) Fail(absl::StrCat(name, " is too late for batches that it has not"));
      EnterLedger(&member, answered.non_finite ? answered : push, outcome, /*taken=*/false);
      break;
    case v1::PUSH_OUTCOME_SKIPPED: {
      // Its correction may not be finite.
      const bool corrected =
          of_pending && push.huge && Since(push.since, [&](const Regime& regime) {
            return regime.compensates && push.base_step < regime.step;
          });
      // It was staged, so there is no other one of that sequence.
      if (of_pending && !corrected && !MayBeGone(*member.pending)) {
        Fail(absl::StrCat(name, " is skipped, and was complete in an earlier stream"));
      }
      if (!(answered.non_finite || corrected) ||
          !Since(answered.since, [](const Regime& regime) { return regime.skips > 0; })) {
        Fail(absl::StrCat(name, " is skipped and is finite"));
      }
      EnterLedger(&member, corrected ? push : answered, outcome, /*taken=*/false);
      break;
    }
    case v1::PUSH_OUTCOME_ROLLED_BACK:  // Nothing changed.
      CheckRolledBack(answered, member, result);
      if (of_pending && (member.pending->complete == answered.complete || answered.took_over ||
                         member.pending->timeline != now_.timeline)) {
        Drop(&member);
      }
      break;
    case v1::PUSH_OUTCOME_ABORTED:
      if (!answered.aborted) Fail(absl::StrCat(name, " is aborted, and nobody took it back"));
      if (of_pending && member.pending->aborted) Drop(&member);
      break;
    case v1::PUSH_OUTCOME_DUPLICATE:
      return CheckDuplicate(push, member, result);
    case v1::PUSH_OUTCOME_RESEND:  // Others needed its room, or it was refused with nobody there.
      if (of_pending) {
        refused_since_ = std::min(refused_since_, member.pending->complete_at);
        member.pending.reset();
      }
      // What waited beside it may have waited since then only.
      refused_large_ = true;
      break;
    case v1::PUSH_OUTCOME_REJECTED:
      CheckRefused(push, result);
      if (!of_pending) break;
      if (!at_once || member.pending->complete == answered.complete) {
        refused_since_ = std::min(refused_since_, member.pending->complete_at);
        if (!at_once) member.missed = 0;  // It was complete in time, whatever was in it.
        member.pending.reset();
      } else if (answered.took_over || member.pending->unsure) {
        member.pending->stream = nullptr;
      }
      break;
    default:
      Fail(absl::StrCat(name, " is answered ", v1::PushOutcome_Name(outcome)));
  }
  if (member.sequence == result.sequence()) member.committed_step = result.step();
}

void RunModel::Drop(Member* member) {
  refused_since_ = std::min(refused_since_, member->pending->complete_at);
  // It may have been gone before, and what waited beside it may have waited since then only.
  if (MayBeGone(*member->pending)) refused_large_ = true;
  member->pending.reset();
}

void RunModel::EnterLedger(Member* member, const Push& push, v1::PushOutcome outcome, bool taken) {
  if (push.sequence != member->sequence + 1) {
    Fail(absl::StrCat(NameOfPush(push.worker, push.sequence), " counts after push ",
                      member->sequence));
  }
  member->sequence = push.sequence;
  member->outcome = outcome;
  member->timeline = push.timeline;
  member->committed_step = -1;
  member->taken = taken;
  if (member->pending.has_value() && member->pending->sequence == push.sequence) {
    member->pending.reset();
  }
  if (!taken) return;
  ++member->applied;
  member->missed = 0;
  taken_.push_back(push);
  taken_.back().outcome = outcome;
  // A small run decides its steps and makes them in the same action.
  if (IsSmall()) taken_.back().taken_since = past_.size() - 1;
}

void RunModel::CheckRolledBack(const Push& push, const Member& member,
                               const v1::PushResult& result) {
  const std::string name = NameOfPush(push.worker, push.sequence);
  if (!Since(push.since, [&](const Regime& regime) {
        return push.base_step > regime.step || push.timeline != regime.timeline;
      })) {
    Fail(absl::StrCat(name, " from step ", push.base_step, " of timeline ", push.timeline,
                      " is rolled back and is neither ahead nor of another timeline"));
  }
  if (push.sequence == member.sequence && push.timeline == member.timeline) {
    Fail(absl::StrCat(name, " is rolled back, and it counts"));
  }
  // What nobody was told of may be in the ledger already.
  if (result.last_sequence() < member.sequence ||
      result.last_sequence() > member.sequence + (member.pending.has_value() ? 1 : 0)) {
    Fail(absl::StrCat(name, " is rolled back to push ", result.last_sequence(), " and not ",
                      member.sequence));
  }
}

void RunModel::CheckDuplicate(const Push& push, const Member& member,
                              const v1::PushResult& result) {
  const std::string name = NameOfPush(push.worker, push.sequence);
  const bool waits = IsPending(push, member);
  if (push.took_over && waits) {
    return Fail(absl::StrCat(name, " is called a duplicate while it waits for its step"));
  }
  // The present timeline may be another one since the answer was decided; not in the same action.
  if (push.timeline != now_.timeline && push.timeline != past_.back().timeline &&
      (push.sequence != member.sequence || push.timeline != member.timeline)) {
    return Fail(absl::StrCat(name, " of timeline ", push.timeline,
                             " is called a duplicate, and is not the one in the ledger"));
  }
  if (push.sequence > member.sequence && !waits) {
    return Fail(absl::StrCat(name, " is called a duplicate, and the ledger has ", member.sequence));
  }
  const auto committed = result.committed_outcome();
  if (push.sequence != member.sequence) {
    if (committed != kUnknown) Fail(absl::StrCat(name, " has an outcome that is not known"));
  } else if (committed == kUnknown || (member.outcome != kUnknown && committed != member.outcome) ||
             IsTakenBy(committed) != member.taken) {
    Fail(absl::StrCat(name, " was answered ", v1::PushOutcome_Name(member.outcome), ", now ",
                      v1::PushOutcome_Name(committed)));
  } else if (member.committed_step >= 0 && result.committed_step() != member.committed_step) {
    Fail(absl::StrCat(name, " was answered at step ", member.committed_step, ", now ",
                      result.committed_step()));
  }
}

void RunModel::CheckRefused(const Push& push, const v1::PushResult& result) {
  const std::string& reason = result.reason();
  bool right = push.malformed;
  const bool of_batches = reason == "BATCHES_INVALID" || reason == "BATCH_NOT_LEASED" ||
                          reason == "BATCH_LEASE_ENDED" || reason == "EXAMPLES_DIFFER";
  if (of_batches) {
    right = push.odd;
  } else if (reason == "SEQUENCE_INVALID") {
    right = push.sequence < 1;
  } else if (reason == "SEQUENCE_SKIPS") {
    right = push.sequence > push.ledger + 1;
  } else if (reason == "NON_FINITE") {
    right = push.non_finite;
  } else if (reason == "GRADIENT_TOO_LARGE") {
    right = MayBeLarge(push);
    refused_large_ = true;
  } else if (reason == "RUN_FINISHED") {
    right = Since(push.since,
                  [](const Regime& regime) { return regime.state == v1::RUN_STATE_FINISHED; });
  }
  if (!right) {
    Fail(absl::StrCat(NameOfPush(push.worker, push.sequence),
                      " is refused for no reason: ", result.message()));
  }
}

void RunModel::Closed(const ScriptedWorker* stream) {
  unanswered_.erase(stream);
  for (auto& [worker, member] : members_) {
    if (member.stream == stream) member.stream = nullptr;
    if (member.pending.has_value() && member.pending->stream == stream) {
      member.pending->stream = nullptr;
    }
  }
}

}  // namespace gradd
