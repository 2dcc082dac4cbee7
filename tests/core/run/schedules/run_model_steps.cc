// How a run stands, which steps it makes, and whether it should have made one.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/core/run/schedules/run_model.h"
#include "tests/support/fake_worker.h"

namespace gradd {
namespace {

std::shared_ptr<const Snapshot> SnapshotNow(Run* run) {
  const auto found = std::make_shared<std::shared_ptr<const Snapshot>>();
  run->RequestSnapshot(SnapshotContents::kTraining,
                       [found](auto snapshot) { *found = std::move(snapshot); });
  return *found;
}

}  // namespace

void RunModel::ReadSpec(const v1::Run& spec, bool undisturbed) {
  std::string read =
      absl::StrCat(spec.optimizer().SerializeAsString(), "|", spec.schedule().SerializeAsString(),
                   "|", spec.policy().SerializeAsString());
  if (read == spec_) return;
  spec_ = std::move(read);
  past_.push_back(now_);
  now_ = RegimeOf(spec);
  FormIfAllAreThere();
  sure_ = sure_ && undisturbed && past_.back().is_sgd && now_.is_sgd;
  if (!past_.back().bound.has_value()) largest_bound_ = 0;
  largest_bound_ = std::max(largest_bound_, now_.bound.value_or(0));
}

void RunModel::Look(bool undisturbed) {
  described_ = run_->Describe(Run::Detail::kWorkers);
  was_formed_ = formed_;
  ReadSpec(described_, undisturbed);
  past_.push_back(now_);
  now_.step = described_.progress().step();
  now_.timeline = described_.timeline();
  if (now_.timeline < past_.back().timeline) Fail("its timeline went back");
  now_.state = described_.state();
  now_.moves = now_.state == v1::RUN_STATE_RUNNING;
  if (now_.step < past_.back().step) Fail(absl::StrCat("it was at step ", past_.back().step));
  const int64_t max_steps = described_.max_steps();
  if (max_steps > 0 && now_.step > max_steps) Fail("it is past max_steps");
  if (now_.moves && !past_.back().moves) waited_since_ = clock_->Elapsed();
}

void RunModel::Check(bool idle, bool ticked) {
  if (!fault_.empty()) return;
  const int64_t before = past_.back().step;
  CheckAhead(described_);
  ReadWorkers(described_, idle);
  const bool moved = past_.back().moves || now_.moves || now_.state == v1::RUN_STATE_FINISHED;
  if (now_.step > before && IsSmall() && !moved) {
    Fail(absl::StrCat(
        "a step was made while it stood still: ", v1::RunState_Name(past_.back().state), ", then ",
        described_.progress().reason()));
  }
  AccountSteps(before, now_.step);
  if (refused_large_ && (AnyPending() || !window_.empty())) waited_since_ = clock_->Elapsed();
  refused_large_ = false;
  CheckSteps(idle);
  CheckLeases(idle, ticked);
  if (data_ != nullptr) CheckData(idle);
  if (!idle) return;
  CheckAnswers();
  CheckDue(ticked);
}

void RunModel::ReadWorkers(const v1::Run& run, bool idle) {
  for (const v1::WorkerStatus& status : run.workers()) {
    const std::string& worker = status.worker();
    Member& member = members_[worker];
    if (status.last_sequence() > member.sequence) {
      const bool unheard = member.pending.has_value() && member.pending->stream == nullptr &&
                           member.pending->sequence == status.last_sequence();
      if (!unheard) {
        return Fail(absl::StrCat("the ledger of ", worker, " is at ", status.last_sequence(),
                                 ", and its last answer was for ", member.sequence));
      }
      EnterLedger(&member, Push(*member.pending), v1::PUSH_OUTCOME_UNSPECIFIED,
                  status.applied_pushes() > member.applied);
    }
    if (status.last_sequence() < member.sequence) {
      Fail(absl::StrCat("the ledger of ", worker, " went back from ", member.sequence, " to ",
                        status.last_sequence()));
    }
    if (idle && status.applied_pushes() != member.applied) {
      Fail(absl::StrCat(worker, " has ", status.applied_pushes(), " applied pushes, and not ",
                        member.applied));
    }
    ReadState(worker, status.state(), &member);
  }
  if (live() == 0) formed_ = false;
}

void RunModel::ReadState(const std::string& worker, v1::WorkerState state, Member* member) {
  if (member->pending.has_value() && member->pending->stream == nullptr &&
      member->pending->timeline != now_.timeline) {
    Drop(member);                       // Rolled back, with nobody there to be told.
    waited_since_ = clock_->Elapsed();  // At the latest.
  }
  if (member->pending.has_value() && member->pending->stream == nullptr) {
    const bool refused = now_.state == v1::RUN_STATE_FINISHED ||
                         (member->just_joined && (state == v1::WORKER_STATE_COMPUTING ||
                                                  state == v1::WORKER_STATE_HELD_BACK));
    Push& push = *member->pending;
    if (!refused) {
      push.surely = push.surely || (member->just_joined && state == v1::WORKER_STATE_WAITING);
    } else if (MayBeLarge(push) || push.odd || !push.surely || room_is_short_ ||
               Since(push.since,
                     [](const Regime& regime) { return regime.state == v1::RUN_STATE_FINISHED; })) {
      refused_since_ = std::min(refused_since_, push.complete_at);
      member->pending.reset();
      waited_since_ = clock_->Elapsed();  // At the latest.
    } else {
      Fail(absl::StrCat("the push of ", worker, " that was complete is gone"));
    }
  }
  member->just_joined = false;
  if (member->pending.has_value() && member->pending->surely) member->missed = 0;
  const bool live = state != v1::WORKER_STATE_EXPIRED && state != v1::WORKER_STATE_LEFT;
  if (live == member->live) return;
  if (live) return Fail(absl::StrCat(worker, " is live and has not joined"));
  if (state == v1::WORKER_STATE_LEFT && !member->leaves) {
    Fail(absl::StrCat(worker, " left without saying so"));
  }
  const absl::Duration silent = clock_->Elapsed() - member->last_sign;
  if (state == v1::WORKER_STATE_EXPIRED && silent < now_.lease) {
    Fail(absl::StrCat("the lease of ", worker, " ended after ", absl::FormatDuration(silent)));
  }
  member->live = false;
  member->missed = 0;
}

void RunModel::AccountSteps(int64_t before, int64_t after) {
  std::vector<Push> taken = std::exchange(taken_, {});
  std::sort(taken.begin(), taken.end(),
            [](const Push& a, const Push& b) { return a.complete < b.complete; });
  int64_t step = before;
  const auto window_is_full = [&] {
    return !window_.empty() && static_cast<int64_t>(window_.size()) >= now_.window;
  };
  for (size_t i = 0; i < taken.size(); ++i) {
    Push& push = taken[i];
    const bool known = push.outcome != v1::PUSH_OUTCOME_UNSPECIFIED;
    const bool applied = push.outcome == v1::PUSH_OUTCOME_APPLIED;
    if (applied && push.part_of > after) {
      taken_.push_back(std::move(push));  // Answered early: its step is on its way.
      continue;
    }
    // A window that a change has filled is closed as it is.
    const bool with_next = i + 1 < taken.size() && AreOfOneStep(push, taken[i + 1], step + 1);
    const bool closes = !known && !with_next && !now_.synchronous && window_is_full();
    if ((closes || push.part_of > step + 1) && step < after) EndStep(++step);
    const int64_t part_of = push.part_of;
    const int64_t before_it = PushesInStep(push.worker);
    if (known && !applied && !Since(push.since, [&](const Regime& regime) {
          return before_it + 1 < regime.window || !regime.synchronous;
        })) {
      Fail(absl::StrCat("push ", push.sequence, " of ", push.worker,
                        " is its last of the step, and does not wait for it"));
    }
    window_.push_back(std::move(push));
    if (now_.synchronous || with_next) continue;
    if (!(known ? applied : window_is_full())) continue;
    if (step == after || (known && part_of != step + 1)) {
      return Fail(absl::StrCat("push ", window_.back().sequence, " of ", window_.back().worker,
                               " is part of no step"));
    }
    EndStep(++step);
  }
  while (step < after) EndStep(++step);
  for (const Push& push : window_) {
    if (push.outcome == v1::PUSH_OUTCOME_APPLIED) {
      Fail(absl::StrCat("push ", push.sequence, " of ", push.worker, " was part of step ",
                        push.part_of, ", which was not made"));
    }
  }
  for (auto& [worker, member] : members_) member.in_window = PushesInStep(worker);
}

bool RunModel::AreOfOneStep(const Push& push, const Push& next, int64_t step) const {
  const auto synchronous = [](const Regime& regime) { return regime.synchronous; };
  const auto may_be = [&](const Push& one) {
    return Since(one.taken_since, synchronous) &&
           (one.part_of == step || one.outcome == v1::PUSH_OUTCOME_UNSPECIFIED);
  };
  // Of those that nobody was told of: if there is no other step that they could be of.
  const bool told = push.part_of == step || next.part_of == step;
  return may_be(push) && may_be(next) && (told || step == now_.step);
}

int64_t RunModel::PushesInStep(const std::string& worker) const {
  return std::count_if(window_.begin(), window_.end(),
                       [&](const Push& push) { return push.worker == worker; });
}

void RunModel::EndStep(int64_t step) {
  if (window_.empty()) return Fail(absl::StrCat("step ", step, " was made of no push"));
  int64_t staleness = 0;
  std::vector<SentPush> pushes;
  for (const Push& push : window_) {
    const std::string name = absl::StrCat("push ", push.sequence, " of ", push.worker);
    if (push.part_of >= 0 && push.part_of != step) {
      Fail(absl::StrCat(name, " was part of step ", push.part_of, ", and not of ", step));
    }
    const int64_t age = step - 1 - push.base_step;
    const auto allows = [&](const Regime& regime) {
      return regime.synchronous ? age <= regime.carried_staleness
                                : !regime.max_staleness.has_value() || age <= *regime.max_staleness;
    };
    sure_ = sure_ && !push.unsure;
    if (!push.unsure && (age < 0 || !Since(push.taken_since, allows))) {
      Fail(absl::StrCat(name, " from step ", push.base_step, " is part of step ", step));
    }
    staleness = std::max(staleness, age);
    pushes.push_back(push);
    // How it was corrected is known where it can be no other way; what was kept for that is not.
    const auto corrects_otherwise = [&](const Regime& regime) {
      return regime.decays != now_.decays || regime.alpha != now_.alpha ||
             regime.cutoff != now_.cutoff || (regime.compensates && age > 0);
    };
    if (Since(push.taken_since, corrects_otherwise)) sure_ = false;
    if (now_.decays) {
      pushes.back().factor = std::exp(-now_.alpha * static_cast<double>(age));
      if (now_.cutoff.has_value()) {
        const double share = static_cast<double>(age) / static_cast<double>(*now_.cutoff);
        pushes.back().factor *= 0.5 * (1 + std::cos(std::acos(-1.0) * share));
      }
    }
  }
  CheckStepWasDue(step);
  if (now_.is_sgd && sure_) {
    const double factor = now_.corrects ? 1 / (1 + static_cast<double>(staleness)) : 1;
    reference_.Step(now_.rate * factor, pushes);
  }
  compares_ = true;
  CountMissed();
  window_.clear();
  refused_since_ = absl::InfiniteDuration();
  waited_since_ = clock_->Elapsed();  // What waits, or becomes part of the next window already.
}

void RunModel::CheckStepWasDue(int64_t step) {
  if (!now_.synchronous || !past_.back().synchronous) return;
  // Who could get a batch when a step was decided that is made on the pool is not known.
  if (data_ != nullptr && !IsSmall()) return;
  absl::Duration first = refused_since_;
  int64_t last = 0;
  size_t since = past_.size();
  for (const Push& push : window_) {
    first = std::min(first, push.complete_at);
    last = std::max(last, push.complete);
    since = std::min(since, push.since);
  }
  const absl::Duration waited = clock_->Elapsed() - first;
  if (Since(since, [&](const Regime& regime) {
        return !regime.synchronous || waited >= regime.deadline;
      })) {
    return;
  }
  // What lies in the window is a step where no push comes any more.
  const bool ends = data_ != nullptr && data_->all_used();
  if (!formed_ && !was_formed_ && IsSmall() && !ends)
    Fail("a step was made before all workers had been there");
  std::vector<std::string> missing;
  int64_t expected = 0;
  for (const auto& [worker, member] : members_) {
    if (data_ != nullptr && data_->MayHaveBeenIdle(step, worker)) continue;
    if (IsExpected(member)) ++expected;
    // Where steps are made on the pool, who was expected when this one was decided is not known.
    const bool unsure = (!IsSmall() && (member.missed > 0 || member.joined_after >= last)) ||
                        (member.pending.has_value() && MayBeGone(*member.pending));
    // The window may be another one since the step was decided.
    const int64_t given = PushesInStep(worker);
    const bool complete =
        Since(since, [&](const Regime& regime) { return given >= regime.window; });
    if (unsure || !IsExpected(member) || complete) continue;
    missing.push_back(worker);
  }
  if (missing.empty()) return;
  if (HadQuorum(since, expected)) return;
  Fail(absl::StrCat("a step was made without ", missing[0], " after ",
                    absl::FormatDuration(waited)));
}

bool RunModel::HadQuorum(size_t first, int64_t expected) const {
  const bool other_window =
      Since(first, [&](const Regime& regime) { return regime.window != now_.window; });
  return Since(first, [&](const Regime& regime) {
    const int64_t quorum = std::min(regime.quorum, expected);
    if (regime.quorum == 0) return false;
    // Who is complete since the window's length was changed is so as long as anybody.
    const bool ends = drains_ || other_window;
    const absl::Duration latest = clock_->Elapsed() - (ends ? absl::ZeroDuration() : regime.grace);
    std::set<std::string> workers;
    for (const Push& push : window_) {
      if (push.complete_at <= latest && PushesInStep(push.worker) >= regime.window) {
        workers.insert(push.worker);
      }
    }
    return static_cast<int64_t>(workers.size()) >= quorum;
  });
}

void RunModel::CountMissed() {
  for (auto& [worker, member] : members_) {
    if (!now_.synchronous && member.live) member.missed = 0;
    if (!now_.synchronous) continue;
    if (!IsExpected(member) || PushesInStep(worker) >= now_.window) continue;
    if (now_.quorum == 0 && data_ == nullptr) {
      ++member.missed;
      continue;
    }
    // Whether its quorum or its deadline has made the step is not seen from outside, nor whether
    // it could get a batch.
    for (const v1::WorkerStatus& status : described_.workers()) {
      if (status.worker() != worker) continue;
      member.missed = status.missed_deadlines() > member.missed ? member.missed + 1 : 0;
    }
  }
}

void RunModel::CheckSteps(bool idle) {
  if (!now_.is_sgd) sure_ = false;
  if (!compares_ && (sure_ || !now_.is_sgd)) return;
  if (!IsSmall() && !idle) return;
  const std::shared_ptr<const Snapshot> snapshot = SnapshotNow(run_.get());
  if (snapshot == nullptr) return;
  const std::vector<float> values = ValuesOf(*snapshot);
  SawParameters(snapshot->step, values);
  if (sure_) {
    const std::string difference = reference_.Compare(values);
    if (!difference.empty()) Fail(difference);
  } else if (now_.is_sgd && idle) {
    reference_.Set(values);
    sure_ = true;
  }
  compares_ = false;
}

void RunModel::SawTimeline(uint64_t timeline) {
  if (timeline < 1 || timeline > now_.timeline) {
    Fail(absl::StrCat("somebody got parameters of timeline ", timeline));
  }
}

void RunModel::SawParameters(int64_t step, const std::vector<float>& values) {
  float zero = 0;
  for (const float value : values) zero += value * 0;
  if (!std::isfinite(zero)) return Fail("its parameters are not finite");
  const absl::string_view bytes(reinterpret_cast<const char*>(values.data()),
                                values.size() * sizeof(float));
  const size_t hash = absl::Hash<absl::string_view>()(bytes);
  if (hashes_.try_emplace(step, hash).first->second != hash) {
    Fail(absl::StrCat("two readers got different parameters of step ", step));
  }
}

}  // namespace gradd
