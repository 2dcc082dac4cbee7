#include "core/run/run_condition.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace gradd {
namespace {

using LiveWorker = RunSituation::Worker;

constexpr v1::WorkerState kComputing = v1::WORKER_STATE_COMPUTING;
constexpr v1::WorkerState kPushing = v1::WORKER_STATE_PUSHING;
constexpr v1::WorkerState kHasPushed = v1::WORKER_STATE_WAITING;
constexpr v1::WorkerState kAway = v1::WORKER_STATE_DISCONNECTED;

// A synchronous run of two workers that makes steps, 1,000 s after the clock's begin.
RunSituation Training() {
  RunSituation situation;
  situation.now = absl::Seconds(1000);
  situation.expected_workers = 2;
  situation.formed = true;
  situation.live_workers = 2;
  situation.moved_at = situation.now;
  return situation;
}

RunSituation With(std::vector<LiveWorker> workers) {
  RunSituation situation = Training();
  situation.live_workers = static_cast<int64_t>(workers.size());
  situation.workers = std::move(workers);
  situation.moved_at = situation.now - absl::Seconds(40);
  return situation;
}

RunSituation Gone(std::vector<LiveWorker> workers, std::deque<Departure> departures, bool formed) {
  RunSituation situation = With(std::move(workers));
  situation.departures = std::move(departures);
  situation.formed = formed;
  return situation;
}

RunSituation InState(v1::RunState state, const std::string& by = "",
                     const std::string& reason = "") {
  RunSituation situation = Training();
  situation.state = state;
  situation.stopped_at = situation.now - absl::Seconds(40);
  situation.stopped_by = by;
  situation.stop_reason = reason;
  return situation;
}

RunSituation Asynchronous(RunSituation situation) {
  situation.synchronous = false;
  situation.expected_workers = 0;
  situation.formed = false;
  return situation;
}

RunSituation Refused(int64_t pushes, RunSituation situation) {
  situation.non_finite_pushes = pushes;
  situation.non_finite_reason = "push 18 from w0 was refused";
  situation.non_finite_at = situation.now - absl::Seconds(40);
  return situation;
}

RunSituation Diverged(RunSituation situation) {
  situation.divergence = Divergence{1204, 62, 2};
  return situation;
}

RunSituation Held(int64_t trials) {
  RunSituation situation = InState(v1::RUN_STATE_HELD);
  situation.trials = trials;
  return situation;
}

RunSituation Of(int64_t live, int64_t expected, RunSituation situation) {
  situation.live_workers = live;
  situation.expected_workers = expected;
  return situation;
}

RunSituation WithoutMemoryForTheStep(RunSituation situation) {
  situation.step_lacks_memory = true;
  return situation;
}

RunSituation WritingACheckpoint(RunSituation situation) {
  situation.writes_checkpoint = true;
  return situation;
}

RunSituation Late(std::vector<std::string> not_waited_for, std::vector<std::string> last_missing) {
  RunSituation situation = Training();
  situation.not_waited_for = std::move(not_waited_for);
  situation.last_missing = std::move(last_missing);
  return situation;
}

struct ConditionRow {
  RunSituation situation;
  v1::RunCondition kind;
  std::string reason;
  int seconds;  // For so long; -1: not said.
};

TEST(RunConditionTest, SaysWhatARunDoesAndWhatItLacks) {
  const absl::Duration ago_40 = absl::Seconds(960);
  const absl::Duration ago_90 = absl::Seconds(910);
  const std::vector<ConditionRow> kTable = {
      // It trains.
      {Training(), v1::RUN_CONDITION_TRAINING, "", -1},
      {Asynchronous(Training()), v1::RUN_CONDITION_TRAINING, "", -1},
      {Of(1, 2, Training()), v1::RUN_CONDITION_TRAINING, "with 1 of 2 workers", -1},
      {[&] {
         RunSituation one = Of(1, 2, Training());
         one.departures = {{"w1", true, ago_40}};
         return one;
       }(),
       v1::RUN_CONDITION_TRAINING, "with 1 of 2 workers: w1 left", -1},
      {Refused(1, Asynchronous(Training())), v1::RUN_CONDITION_TRAINING, "", -1},
      {Late({"w1"}, {}), v1::RUN_CONDITION_TRAINING,
       "without waiting for w1: too many deadlines missed", -1},
      {Late({}, {"w1", "w2"}), v1::RUN_CONDITION_TRAINING,
       "the last step was made at its deadline without w1 and w2", -1},
      {Late({"w1"}, {"w2"}), v1::RUN_CONDITION_TRAINING,
       "without waiting for w1: too many deadlines missed; the last step was made at its deadline "
       "without w2",
       -1},

      // Nobody is there.
      {Of(0, 1, With({})), v1::RUN_CONDITION_NO_WORKERS, "none has joined yet", 40},
      {Of(0, 2, With({})), v1::RUN_CONDITION_NO_WORKERS, "none has joined yet; it starts with 2",
       40},
      {Asynchronous(With({})), v1::RUN_CONDITION_NO_WORKERS, "none has joined yet", 40},
      {Gone({}, {{"w1", false, ago_40, true}}, false), v1::RUN_CONDITION_NO_WORKERS,
       "the lease of the last one, w1, ended: it did not read its parameters", 40},
      {Gone({}, {{"w1", true, ago_40}, {"w0", true, ago_90}}, false), v1::RUN_CONDITION_NO_WORKERS,
       "the last one, w1, left", 40},
      {Gone({}, {{"w0", false, ago_90}}, false), v1::RUN_CONDITION_NO_WORKERS,
       "the lease of the last one, w0, ended: it was silent", 90},

      // Some are missing.
      {Of(1, 2, Gone({{"w2", kComputing}}, {{"w1", true, ago_40}}, false)),
       v1::RUN_CONDITION_WAITING_FOR_WORKERS, "1 of 2 workers: w2 is there, w1 left", 40},
      {Of(2, 4, Gone({{"w0", kHasPushed}, {"w1", kAway}}, {{"w3", false, ago_40}}, false)),
       v1::RUN_CONDITION_WAITING_FOR_WORKERS,
       "2 of 4 workers: w0 is there, w1 is not connected, the lease of w3 ended", 40},
      {With({{"w0", kHasPushed}, {"w1", kAway}}), v1::RUN_CONDITION_WAITING_FOR_WORKERS,
       "w1 is not connected, w0 has pushed", 40},
      {Asynchronous(With({{"w0", kAway}})), v1::RUN_CONDITION_WAITING_FOR_WORKERS,
       "w0 is not connected", 40},
      {Of(6, 7,
          Gone({{"a", kComputing},
                {"b", kComputing},
                {"c", kComputing},
                {"d", kComputing},
                {"e", kComputing},
                {"f", kComputing}},
               {}, false)),
       v1::RUN_CONDITION_WAITING_FOR_WORKERS, "6 of 7 workers: a, b, c and 3 more are there", 40},

      // All are there, and nothing comes.
      {With({{"w0", kHasPushed}, {"w1", kComputing}}), v1::RUN_CONDITION_WAITING_FOR_PUSHES,
       "w1 computes, w0 has pushed", 40},
      {With({{"w0", kPushing}, {"w1", kComputing}}), v1::RUN_CONDITION_WAITING_FOR_PUSHES,
       "w1 computes, w0 is pushing", 40},
      {Asynchronous(With({{"w0", kComputing}, {"w1", kComputing}})),
       v1::RUN_CONDITION_WAITING_FOR_PUSHES, "w0 and w1 compute", 40},
      {With({{"w0", kHasPushed}, {"w1", kComputing, true}}), v1::RUN_CONDITION_WAITING_FOR_MEMORY,
       "no room to stage what w1 sends", 40},
      {WithoutMemoryForTheStep(With({{"w0", kHasPushed}, {"w1", kHasPushed}})),
       v1::RUN_CONDITION_WAITING_FOR_MEMORY,
       "a step is due, and there is no memory for what it makes", 40},
      {WritingACheckpoint(WithoutMemoryForTheStep(With({{"w0", kHasPushed}, {"w1", kHasPushed}}))),
       v1::RUN_CONDITION_WAITING_FOR_MEMORY,
       "a step is due, and there is no memory for what it makes; the checkpoint that is being "
       "written gives some back as it goes on",
       40},
      {WritingACheckpoint(Training()), v1::RUN_CONDITION_TRAINING, "", -1},

      // It diverged.
      {Diverged(Training()), v1::RUN_CONDITION_DIVERGED, "loss is 31x its best since step 1,204",
       -1},
      {Diverged(Gone({}, {{"w0", true, ago_40}}, false)), v1::RUN_CONDITION_DIVERGED,
       "loss is 31x its best since step 1,204; no workers: the last one, w0, left", -1},
      {Refused(1, Training()), v1::RUN_CONDITION_DIVERGED, "push 18 from w0 was refused", 40},
      {Refused(2, Asynchronous(Training())), v1::RUN_CONDITION_DIVERGED,
       "push 18 from w0 was refused", 40},
      {Refused(1, Asynchronous(Gone({}, {{"w0", true, ago_40}}, false))),
       v1::RUN_CONDITION_DIVERGED,
       "push 18 from w0 was refused; no workers: the last one, w0, left", 40},

      // Somebody stopped it.
      {InState(v1::RUN_STATE_PAUSED, "alice"), v1::RUN_CONDITION_PAUSED, "by alice", 40},
      {InState(v1::RUN_STATE_PAUSED, "",
               "step 17 was undone, since its result is not finite at a learning rate of 0.1"),
       v1::RUN_CONDITION_DIVERGED,
       "paused by the server, because step 17 was undone, since its result is not finite at a "
       "learning rate of 0.1",
       40},
      {Diverged(InState(v1::RUN_STATE_PAUSED, "alice")), v1::RUN_CONDITION_PAUSED, "by alice", 40},
      {Held(0), v1::RUN_CONDITION_HELD, "by trials that begin", 40},
      {Held(1), v1::RUN_CONDITION_HELD, "by 1 trial", 40},
      {Held(3), v1::RUN_CONDITION_HELD, "by 3 trials", 40},
      {InState(v1::RUN_STATE_FINISHED), v1::RUN_CONDITION_FINISHED, "", 40},
      {Diverged(InState(v1::RUN_STATE_FINISHED)), v1::RUN_CONDITION_FINISHED,
       "it had diverged: loss is 31x its best since step 1,204", 40},
  };
  for (const ConditionRow& row : kTable) {
    const Condition condition = JudgeCondition(row.situation);
    EXPECT_EQ(condition.kind, row.kind) << row.reason << " / " << condition.reason;
    EXPECT_EQ(condition.reason, row.reason);
    const absl::Duration since = condition.since.value_or(row.situation.now + absl::Seconds(1));
    EXPECT_EQ(row.situation.now - since, absl::Seconds(row.seconds)) << row.reason;
  }
}

TEST(RunConditionTest, WorkersMayWaitForOneAnotherForAMomentAtEveryStep) {
  RunSituation situation = With({{"w0", kHasPushed}, {"w1", kAway}});
  situation.moved_at = situation.now - kConditionPatience + absl::Milliseconds(1);
  EXPECT_EQ(JudgeCondition(situation).kind, v1::RUN_CONDITION_TRAINING);
  situation.moved_at = situation.now - kConditionPatience;
  EXPECT_EQ(JudgeCondition(situation).kind, v1::RUN_CONDITION_WAITING_FOR_WORKERS);
}

TEST(RunConditionTest, ARunThatIsNotCompleteWaitsFromTheFirstMoment) {
  RunSituation situation = Of(1, 2, Gone({{"w0", kComputing}}, {}, false));
  situation.moved_at = situation.now;
  EXPECT_EQ(JudgeCondition(situation).kind, v1::RUN_CONDITION_WAITING_FOR_WORKERS);
}

}  // namespace
}  // namespace gradd
