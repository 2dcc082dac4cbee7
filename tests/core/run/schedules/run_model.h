#ifndef GRADD_TESTS_CORE_RUN_SCHEDULES_RUN_MODEL_H_
#define GRADD_TESTS_CORE_RUN_SCHEDULES_RUN_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/run/run.h"
#include "tests/core/run/schedules/data_model.h"
#include "tests/core/run/schedules/sgd_reference.h"
#include "tests/support/scripted_worker.h"

namespace gradd {

// What a run must do, written a second time and without looking into it: it is told what workers
// send and what they are answered, looks at the run as people see it, and names the first thing
// that cannot be right.
//
// After every action of a test: first the requests that were taken, then Look(), then the answers,
// then Check(). An action is so small that at most one request is taken in it. Not thread safe.
class RunModel {
 public:
  // `room_is_short`: other runs may need the room of its pushes.
  // `data`: who has which batches, where the run has a data set; else null.
  RunModel(std::shared_ptr<Run> run, bool room_is_short, const Clock* clock,
           const DataModel* data = nullptr);

  // Empty as long as nothing is wrong.
  const std::string& fault() const { return fault_; }
  const Run& run() const { return *run_; }
  int64_t step() const { return now_.step; }
  bool moves() const { return now_.moves; }
  v1::RunState state() const { return now_.state; }
  uint64_t timeline() const { return now_.timeline; }
  const DataModel* data() const { return data_; }

  // ---- What happened ----

  void Joined(const ScriptedWorker* stream);
  // A request was sent, whether or not it was taken.
  void SignOfLife(const std::string& worker);
  // The first part of a push was taken; then its last one. `surely`: not perhaps, by a stream that
  // ended meanwhile.
  void Began(const ScriptedWorker* stream, const SentPush& push);
  void Completed(const ScriptedWorker* stream, bool surely);
  // A push was taken back, if there is one of that stream and sequence.
  void Aborted(const ScriptedWorker* stream, int64_t sequence, bool surely);
  void Answered(const ScriptedWorker* stream, const v1::PushResult& result);
  void Left(const std::string& worker) { members_[worker].leaves = true; }
  void Closed(const ScriptedWorker* stream);
  // Parameters as somebody got them.
  void SawParameters(int64_t step, const std::vector<float>& values);
  void SawTimeline(uint64_t timeline);
  // A stream ended since a new timeline has begun.
  void EndedWithTimeline(const ScriptedWorker* stream, bool says_timelines);
  // The server stops.
  void Drains() { drains_ = true; }
  // Somebody had the next timeline begin, when that is possible.
  void AskedForTimeline() { ++timelines_asked_; }

  // ---- What holds ----

  // How the run stands now. `undisturbed`: no task was left to run, neither before the last action
  // nor now.
  void Look(bool undisturbed);
  // `idle`: no task is left to run. `ticked`: the last action was Run::Tick().
  void Check(bool idle, bool ticked);
  // Whether no push keeps room: none waits, and none is coming in that could be part of a step.
  bool NothingInFlight() const;
  // Whether a complete push waits.
  bool AnyPending() const;
  // Whether a push of the worker waits, perhaps since an earlier stream.
  bool Waits(const std::string& worker) const { return members_.at(worker).pending.has_value(); }
  // Whether the worker is too far ahead of others, as the run says.
  bool IsHeldBack(const std::string& worker) const;
  // Whether no step can come before others join, and so nobody else gives up room for its pushes.
  bool WaitsForWorkers() const { return now_.synchronous && !formed_; }
  // At the end, when leases and deadlines are over: nobody may wait any more.
  void CheckNobodyWaits();
  // Of the parameters that were seen last.
  size_t TakeHash() const { return hashes_.empty() ? 0 : hashes_.rbegin()->second; }
  // The run may go: nothing but fault() and step() is asked any more.
  void ForgetRun() { run_ = nullptr; }

 private:
  // What an action found the run to be.
  struct Regime {
    int64_t step = 0;
    uint64_t timeline = 1;
    v1::RunState state = v1::RUN_STATE_RUNNING;
    bool moves = true;
    bool synchronous = true;
    int64_t workers = 0;
    absl::Duration deadline;
    int64_t forgives = 0;
    int64_t quorum = 0;    // 0: all.
    absl::Duration grace;  // At least.
    bool adaptive_grace = false;
    int64_t carried_staleness = 0;  // The most that a step's pushes have.
    std::optional<int64_t> max_staleness;
    bool corrects = false;  // The rate, by staleness.
    // The gradient: by what changed since, or by its age.
    bool compensates = false;
    bool decays = false;
    double alpha = 0;
    std::optional<int64_t> cutoff;
    std::optional<int64_t> bound;  // Of how far a worker may be ahead.
    double rate = 0;
    int64_t window = 1;
    int64_t skips = 0;
    bool is_sgd = true;
    absl::Duration lease;
  };
  struct Push : SentPush {
    size_t since = 0;           // Index of the regime in which it began.
    size_t taken_since = 0;     // The first one in which it may have become part of a step.
    int64_t complete = -1;      // Order of completion; -1: not yet.
    size_t complete_since = 0;  // Index of the regime in which it was.
    bool aborted = false;       // Its worker has taken it back, if that was in time.
    absl::Duration complete_at;
    int64_t ledger = 0;      // Its worker's last sequence when it began.
    bool surely = true;      // That it is complete.
    bool unsure = false;     // Whether it, or a repetition of it, counts.
    bool took_over = false;  // The same push waits since an earlier stream.
    const ScriptedWorker* stream = nullptr;
    std::string worker;
    // Its last answer, where it is known; else whether it was taken.
    v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
    int64_t part_of = -1;  // The step; -1: not known.
  };
  struct Member {
    bool live = false;
    bool leaves = false;
    bool just_joined = false;
    const ScriptedWorker* stream = nullptr;                  // Null: not connected.
    int64_t sequence = 0;                                    // The ledger's.
    uint64_t timeline = 0;                                   // That the push was of.
    int64_t committed_step = -1;                             // Of the same; -1: not known.
    v1::PushOutcome outcome = v1::PUSH_OUTCOME_UNSPECIFIED;  // Unspecified: not known.
    bool taken = false;  // Its push became part of a step, or of the next one.
    std::optional<Push> pending;
    int64_t in_window = 0;
    int64_t missed = 0;
    int64_t applied = 0;
    int64_t joined_after = 0;  // So many completions.
    int64_t ahead = 0;         // As it was told, with so many applied pushes.
    int64_t ahead_with = 0;
    bool was_live = false;  // Then.
    absl::Duration last_sign;
    // Since when it has half a push, and the run waits for the rest; infinite: it does not.
    absl::Duration half_since = absl::InfiniteDuration();
  };

  void Fail(const std::string& what);
  Regime RegimeOf(const v1::Run& spec) const;
  // Finds out whether the spec was changed.
  void ReadSpec(const v1::Run& spec, bool undisturbed);
  bool IsSmall() const { return run_->layout().element_count() <= 64 * 1024; }
  // One that is refused or dropped when nobody is there to be told cannot be told from one that
  // waits.
  bool MayBeGone(const Push& push) const {
    return push.unsure || (push.stream == nullptr &&
                           (MayBeLarge(push) || push.odd || !push.surely || room_is_short_));
  }
  // Its gradient may be too large, as it is or as it is corrected.
  bool MayBeLarge(const Push& push) const {
    return push.huge || Since(push.since, [](const Regime& regime) { return regime.compensates; });
  }
  template <typename Condition>
  bool Since(size_t first, const Condition& condition) const {
    for (size_t i = first; i < past_.size(); ++i) {
      if (condition(past_[i])) return true;
    }
    return condition(now_);
  }
  void EnterLedger(Member* member, const Push& push, v1::PushOutcome outcome, bool taken);
  // The member's push waits no longer, and is part of nothing.
  void Drop(Member* member);
  void CheckRefused(const Push& push, const v1::PushResult& result);
  void CheckRolledBack(const Push& push, const Member& member, const v1::PushResult& result);
  void CheckDuplicate(const Push& push, const Member& member, const v1::PushResult& result);
  // What became of pushes that nobody was there to be told of.
  void ReadWorkers(const v1::Run& run, bool idle);
  void ReadState(const std::string& worker, v1::WorkerState state, Member* member);
  void AccountSteps(int64_t before, int64_t after);
  // Of two that were complete one after the other: whether `step` had both, having been decided
  // while the run was synchronous. It may not be any more.
  bool AreOfOneStep(const Push& push, const Push& next, int64_t step) const;
  void EndStep(int64_t step);
  void CheckStepWasDue(int64_t step);
  void CheckData(bool idle);
  // Whether a quorum of the present window was there for its grace, in some regime since `first`.
  bool HadQuorum(size_t first, int64_t expected) const;
  void CountMissed();
  int64_t PushesInStep(const std::string& worker) const;
  void CheckSteps(bool idle);
  // No task is left: whoever is connected has an answer to all that waits for no step.
  void CheckAnswers();
  void CheckDue(bool ticked);
  // How far workers are ahead of each other: they count the pushes that became part of steps.
  void CheckAhead(const v1::Run& run);
  // A worker that has begun a push and sends nothing of it loses its lease.
  void CheckLeases(bool idle, bool ticked);
  bool IsExpected(const Member& member) const {
    return member.live && (now_.forgives == 0 || member.missed < now_.forgives);
  }
  // Whether it is that worker's push which waits, perhaps since an earlier stream.
  static bool IsPending(const Push& push, const Member& member) {
    return member.pending.has_value() && member.pending->sequence == push.sequence &&
           member.pending->timeline == push.timeline;
  }
  int64_t live() const;
  // Once as many are live as a synchronous run starts with; one that starts with nobody never is.
  void FormIfAllAreThere() { formed_ = formed_ || (now_.workers > 0 && live() >= now_.workers); }

  std::shared_ptr<Run> run_;
  const bool room_is_short_;
  const Clock* const clock_;
  const DataModel* const data_;
  std::string fault_;
  std::vector<Regime> past_;
  Regime now_;
  v1::Run described_;  // By the last Look().
  std::string spec_;   // What of it decides how steps are made.
  std::map<std::string, Member> members_;
  std::map<const ScriptedWorker*, std::deque<Push>> unanswered_;
  bool formed_ = false;
  bool was_formed_ = false;  // Before this action.
  int64_t completions_ = 0;
  uint64_t timelines_asked_ = 0;
  bool drains_ = false;
  std::vector<Push> taken_;   // In this action.
  std::vector<Push> window_;  // Of the step that is being filled.
  absl::Duration waited_since_;
  // When the first push was complete that was refused since the last step: deadlines count from it.
  absl::Duration refused_since_ = absl::InfiniteDuration();
  // Somebody joined, and what that makes due need not happen before the next tick.
  bool joined_ = false;
  bool refused_large_ = false;  // In this action.
  int64_t largest_bound_ = 0;   // Since there is one.
  bool had_bound_ = false;      // At the last look.
  // Somebody could get no batches, and nobody waited for him.
  bool bound_was_off_ = false;
  SgdReference reference_;
  bool sure_ = true;                  // That the reference knows the present rate and parameters.
  bool compares_ = false;             // There is a step that was not compared.
  std::map<int64_t, size_t> hashes_;  // Of the parameters of each step.
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_SCHEDULES_RUN_MODEL_H_
