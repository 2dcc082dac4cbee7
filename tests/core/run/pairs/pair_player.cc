#include "tests/core/run/pairs/pair_player.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/run/pairs/compared_run.h"
#include "tests/core/run/pairs/live_change.h"

namespace gradd {
namespace {

constexpr size_t kA = 0;
constexpr size_t kB = 1;

struct Rounds {
  int all;
  int pushes;  // Of each worker in a round.
};
// Such that there are about a dozen steps, or the change and the restart come in the middle of
// some.
Rounds RoundsOf(Policy policy) {
  switch (policy) {
    case Policy::kSynchronous:
    case Policy::kSynchronousDeadline:
      return {11, 1};
    case Policy::kSynchronousWindow:
      return {8, 2};
    case Policy::kAsynchronousWindow:
      return {12, 1};
    default:
      return {7, 1};
  }
}
constexpr int kDeadlineRound = 1;
constexpr int kFirstEvent = 3;
constexpr int kSecondEvent = 5;

// See pair_player.h.
class Player {
 public:
  explicit Player(const PairCase& pair)
      : pair_(pair),
        run_(FirstTraining(pair), pair.form, pair.examples,
             static_cast<uint64_t>(pair.number) + 1) {}

  std::string Play() {
    const Rounds rounds = RoundsOf(pair_.policy);
    const bool restarts_first = pair_.number % 2 == 0;
    for (round_ = 0; round_ < rounds.all && run_.ok(); ++round_) {
      run_.comparison().SetPlace(absl::StrCat("round ", round_));
      if (round_ == (restarts_first ? kFirstEvent : kSecondEvent)) restart_is_due_ = true;
      if (round_ == (restarts_first ? kSecondEvent : kFirstEvent)) change_is_due_ = true;
      for (int push = 0; push < rounds.pushes && run_.ok(); ++push) TakeTurns(push == 0);
      if (change_is_due_) Change(/*between_rounds=*/true);
    }
    Comparison& comparison = run_.comparison();
    if (run_.ok() && run_.reference().step() < 4) comparison.Fail("fewer than four steps");
    if (restart_is_due_ || change_is_due_) comparison.Fail("something has not happened");
    return comparison.fault();
  }

 private:
  bool Waits(size_t worker) { return run_.reference().Waits(worker); }

  void TakeTurns(bool first_of_round) {
    const bool skips = pair_.stage == Stage::kSkipNonFinite || pair_.stage == Stage::kEverything;
    if (first_of_round && skips && round_ % 3 == 1 && !Waits(kA)) run_.PushNonFinite(kA);
    if (!Waits(kA)) run_.Push(kA);
    if (pair_.policy == Policy::kSynchronousDeadline && round_ == kDeadlineRound) {
      run_.Pass(absl::Seconds(2));
      run_.run().Tick();
      run_.reference().PassDeadline();
      run_.Settle();
    }
    if (first_of_round && restart_is_due_ && !Waits(kB)) Restart();
    if (first_of_round && change_is_due_) Change(/*between_rounds=*/false);
    if (run_.ok() && !Waits(kB)) run_.Push(kB);
  }

  // Of b, while a's push waits where the run is synchronous.
  void Restart() {
    restart_is_due_ = false;
    switch (pair_.restart) {
      case gradd::Restart::kNone:
        return;
      case gradd::Restart::kLeaves:
        run_.Leave(kB);
        return JoinAgain();
      case gradd::Restart::kDies:
        run_.DieInPush(kB);
        run_.Settle();
        return run_.Join(kB);
      case gradd::Restart::kExpires:
        run_.DieInPush(kB);
        run_.Pass(absl::Seconds(10));
        run_.Heartbeat(kA);
        run_.Pass(absl::Seconds(10));
        run_.run().Tick();
        run_.LeaseEnded(kB);
        // What lies in a window that is not full has waited for long enough.
        if (run_.training().policy.synchronous().has_deadline()) run_.reference().PassDeadline();
        run_.Settle();
        return JoinAgain();
      case gradd::Restart::kTakesOver:
        run_.TakeOver(kA);
        return run_.TakeOver(kB);
    }
  }
  void JoinAgain() {
    run_.Join(kB);
    run_.reference().Join(kB);
    run_.BeginAtPresentStep(kB);
  }

  // One happens between two rounds, the others where a's push of the round waits, or was the last.
  void Change(bool between_rounds) {
    if (!run_.ok() || (pair_.change == LiveChange::kMaxSteps) != between_rounds) return;
    change_is_due_ = false;
    switch (pair_.change) {
      case LiveChange::kNone:
        return;
      case LiveChange::kPause:
        return PauseAndResume();
      case LiveChange::kMaxSteps:
        return FinishAndGoOn();
      default:
        break;
    }
    const int64_t step = run_.reference().step();
    const ChangedTraining changed = ChangeOf(run_.training(), pair_.change, step);
    run_.Change(changed.training, changed.paths);
    if (pair_.change == LiveChange::kPlateau) {
      // Those of one step count once.
      Evaluate(step - 1, 1);
      Evaluate(step, 1.5);
      run_.reference().ReduceRate(kPlateauFactor);
      run_.Settle();
    }
  }
  void PauseAndResume() {
    if (!run_.run().Pause("ada").ok()) return run_.comparison().Fail("no pause");
    run_.reference().Pause();
    if (!Waits(kB)) run_.Push(kB);
    if (!run_.run().Resume("ada").ok()) return run_.comparison().Fail("no end of the pause");
    run_.reference().Resume();
    run_.Settle();
  }
  void FinishAndGoOn() {
    v1::Run values = SpecOf(run_.training());
    values.set_max_steps(run_.reference().step());
    run_.Update(values, {"max_steps"});
    run_.reference().Finish();
    run_.Settle();
    ExpectState(v1::RUN_STATE_FINISHED);
    run_.PushInVain(kA);
    values.set_max_steps(0);
    values.mutable_lease_duration()->set_seconds(12);
    run_.Update(values, {"max_steps", "lease_duration"});
    ExpectState(v1::RUN_STATE_RUNNING);
  }
  void ExpectState(v1::RunState state) {
    run_.comparison().ExpectSame("state", v1::RunState_Name(run_.run().Progress().state()),
                                 v1::RunState_Name(state));
  }
  void Evaluate(int64_t step, double loss) {
    v1::Evaluation evaluation;
    evaluation.set_step(step);
    evaluation.set_loss(loss);
    evaluation.set_examples(10);
    if (!run_.run().ReportEvaluation(evaluation).ok()) {
      run_.comparison().Fail("an evaluation is refused");
    }
  }

  const PairCase& pair_;
  ComparedRun run_;
  bool restart_is_due_ = false;
  bool change_is_due_ = false;
  int round_ = 0;
};

}  // namespace

std::string Play(const PairCase& pair) { return Player(pair).Play(); }

}  // namespace gradd
