#include "core/run/run_condition.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace gradd {
namespace {

constexpr size_t kNamed = 3;  // Workers of a kind.

using Worker = RunSituation::Worker;

std::string Count(int64_t number, absl::string_view what) {
  return absl::StrCat(number, " ", what, number == 1 ? "" : "s");
}

// `w0`, `w0 and w1`, `w0, w1, w2 and 5 more`.
std::string Names(const std::vector<std::string>& ids) {
  if (ids.size() > kNamed + 1) {
    return absl::StrCat(absl::StrJoin(ids.begin(), ids.begin() + kNamed, ", "), " and ",
                        ids.size() - kNamed, " more");
  }
  if (ids.size() <= 1) return absl::StrJoin(ids, "");
  return absl::StrCat(absl::StrJoin(ids.begin(), ids.end() - 1, ", "), " and ", ids.back());
}

// `w0 is there`, `w0 and w1 are there`; empty for nobody.
std::string Clause(const std::vector<std::string>& ids, absl::string_view singular,
                   absl::string_view plural) {
  if (ids.empty()) return "";
  return absl::StrCat(Names(ids), " ", ids.size() == 1 ? singular : plural);
}

std::string JoinClauses(std::vector<std::string> clauses) {
  clauses.erase(std::remove(clauses.begin(), clauses.end(), ""), clauses.end());
  return absl::StrJoin(clauses, ", ");
}

std::vector<std::string> WorkersIn(const RunSituation& situation, v1::WorkerState state) {
  std::vector<std::string> ids;
  for (const Worker& worker : situation.workers) {
    if (worker.state == state && !worker.lacks_batches) ids.push_back(worker.id);
  }
  return ids;
}

std::vector<std::string> WithoutBatches(const RunSituation& situation) {
  std::vector<std::string> ids;
  for (const Worker& worker : situation.workers) {
    if (worker.lacks_batches) ids.push_back(worker.id);
  }
  return ids;
}

// What became of those who went: `w1 left, the lease of w2 ended`.
std::string Departed(const RunSituation& situation) {
  std::vector<std::string> left;
  std::vector<std::string> expired;
  for (const Departure& gone : situation.departures) {
    (gone.said_so ? left : expired).push_back(gone.worker);
  }
  std::string lease;
  if (!expired.empty()) {
    lease = absl::StrCat(expired.size() == 1 ? "the lease of " : "the leases of ", Names(expired),
                         " ended");
  }
  return JoinClauses({left.empty() ? "" : absl::StrCat(Names(left), " left"), lease});
}

// What the live workers do.
std::string Doing(const RunSituation& situation) {
  const std::string holders =
      situation.batch_holders.empty()
          ? ""
          : absl::StrCat(", all of which ", Names(situation.batch_holders),
                         situation.batch_holders.size() == 1 ? " has" : " have");
  return JoinClauses(
      {Clause(WorkersIn(situation, v1::WORKER_STATE_DISCONNECTED), "is not connected",
              "are not connected"),
       Clause(WorkersIn(situation, v1::WORKER_STATE_HELD_BACK), "is held back, too far ahead",
              "are held back, too far ahead"),
       Clause(WorkersIn(situation, v1::WORKER_STATE_COMPUTING), "computes", "compute"),
       Clause(WorkersIn(situation, v1::WORKER_STATE_PUSHING), "is pushing", "are pushing"),
       Clause(WorkersIn(situation, v1::WORKER_STATE_WAITING), "has pushed", "have pushed"),
       Clause(WithoutBatches(situation), absl::StrCat("waits for batches", holders),
              absl::StrCat("wait for batches", holders))});
}

// How steps get on without workers that are too slow: `without waiting for w2: too many deadlines
// missed; the last step was made at its deadline without w1`.
std::string Without(const RunSituation& situation) {
  std::string text;
  if (!situation.not_waited_for.empty()) {
    text = absl::StrCat("without waiting for ", Names(situation.not_waited_for),
                        ": too many deadlines missed");
  }
  if (!situation.last_missing.empty()) {
    absl::StrAppend(&text, text.empty() ? "" : "; ",
                    "the last step was made at its deadline without ",
                    Names(situation.last_missing));
  }
  return text;
}

// What happens next to a step that waits: `; 1 more worker makes the step; it is made without w1
// and w2 in 4m12s`.
std::string WhatIsNext(const RunSituation& situation) {
  std::string text;
  if (!WorkersIn(situation, v1::WORKER_STATE_HELD_BACK).empty()) {
    return absl::StrCat("; that ends when ", Names(situation.waits_for),
                        situation.waits_for.size() == 1
                            ? " has pushed, or is gone: it is the slowest"
                            : " have pushed, or are gone: they are the slowest");
  }
  if (situation.waits_enough > 0 &&
      situation.waits_enough < static_cast<int64_t>(situation.waits_for.size())) {
    text = situation.waits_enough == 1
               ? "; 1 more worker makes the step"
               : absl::StrCat("; ", situation.waits_enough, " more workers make the step");
  }
  if (situation.waits_for.empty() || situation.waits_left == absl::InfiniteDuration()) return text;
  absl::StrAppend(&text, text.empty() ? "; the step" : "; it", " is made without ",
                  Names(situation.waits_for), " in ",
                  absl::FormatDuration(absl::Ceil(situation.waits_left, absl::Seconds(1))));
  return text;
}

Condition NoWorkers(const RunSituation& situation) {
  Condition condition;
  condition.kind = v1::RUN_CONDITION_NO_WORKERS;
  if (situation.departures.empty()) {
    condition.reason = "none has joined yet";
    if (situation.synchronous && situation.expected_workers > 1) {
      absl::StrAppend(&condition.reason, "; it starts with ", situation.expected_workers);
    }
    condition.since = situation.moved_at;
    return condition;
  }
  const Departure& last = situation.departures.front();
  condition.reason = last.said_so
                         ? absl::StrCat("the last one, ", last.worker, ", left")
                         : absl::StrCat("the lease of the last one, ", last.worker, ", ended: it ",
                                        last.unread ? "did not read its parameters" : "was silent");
  condition.since = last.at;
  return condition;
}

// Empty: it is all right.
std::string DivergedReason(const RunSituation& situation) {
  if (SpeaksForAll(situation.non_finite_pushes, situation.synchronous, situation.live_workers)) {
    return situation.non_finite_reason;
  }
  return situation.divergence.has_value() ? situation.divergence->Text() : "";
}

Condition Stopped(const RunSituation& situation) {
  Condition condition;
  condition.since = situation.stopped_at;
  switch (situation.state) {
    case v1::RUN_STATE_PAUSED:
      // By itself, the server pauses a run for its numbers alone.
      if (situation.stopped_by.empty()) {
        condition.kind = v1::RUN_CONDITION_DIVERGED;
        condition.reason = "paused by the server";
      } else {
        condition.kind = v1::RUN_CONDITION_PAUSED;
        condition.reason = absl::StrCat("by ", situation.stopped_by);
      }
      if (!situation.stop_reason.empty()) {
        absl::StrAppend(&condition.reason, ", because ", situation.stop_reason);
      }
      return condition;
    case v1::RUN_STATE_HELD:
      condition.kind = v1::RUN_CONDITION_HELD;
      condition.reason = situation.trials > 0
                             ? absl::StrCat("by ", Count(situation.trials, "trial"))
                             : "by trials that begin";
      return condition;
    default:
      condition.kind = v1::RUN_CONDITION_FINISHED;
      if (!situation.stopped_by.empty()) {
        condition.reason = absl::StrCat("by ", situation.stopped_by);
        if (!situation.stop_reason.empty()) {
          absl::StrAppend(&condition.reason, ", because ", situation.stop_reason);
        }
      }
      if (situation.divergence.has_value()) {
        absl::StrAppend(&condition.reason, condition.reason.empty() ? "" : "; ",
                        "it had diverged: ", situation.divergence->Text());
      }
      return condition;
  }
}

// Of a run with live workers; TRAINING if it need not wait, or not for long.
Condition Waiting(const RunSituation& situation) {
  Condition condition;
  const auto of_all =
      absl::StrCat(situation.live_workers, " of ", Count(situation.expected_workers, "worker"));
  condition.since = situation.moved_at;
  if (situation.synchronous && !situation.formed) {
    std::vector<std::string> there;
    std::vector<std::string> away;
    for (const Worker& worker : situation.workers) {
      (worker.state == v1::WORKER_STATE_DISCONNECTED ? away : there).push_back(worker.id);
    }
    condition.kind = v1::RUN_CONDITION_WAITING_FOR_WORKERS;
    condition.reason = absl::StrCat(
        of_all, ": ",
        JoinClauses({Clause(there, "is there", "are there"),
                     Clause(away, "is not connected", "are not connected"), Departed(situation)}));
    return condition;
  }
  if (situation.now - situation.moved_at < kConditionPatience) {
    condition.since.reset();
    // The run goes on with fewer.
    std::string fewer;
    if (situation.synchronous && situation.live_workers < situation.expected_workers) {
      const std::string departed = Departed(situation);
      fewer = absl::StrCat("with ", of_all, departed.empty() ? "" : ": ", departed);
    }
    const std::string without = Without(situation);
    condition.reason = absl::StrCat(fewer, fewer.empty() || without.empty() ? "" : "; ", without);
    return condition;
  }
  if (situation.step_lacks_memory) {
    condition.kind = v1::RUN_CONDITION_WAITING_FOR_MEMORY;
    condition.reason = "a step is due, and there is no memory for what it makes";
    if (situation.writes_checkpoint) {
      absl::StrAppend(&condition.reason,
                      "; the checkpoint that is being written gives some back as it goes on");
    }
    return condition;
  }
  std::vector<std::string> lacking;
  for (const Worker& worker : situation.workers) {
    if (worker.lacks_memory) lacking.push_back(worker.id);
  }
  if (!lacking.empty()) {
    condition.kind = v1::RUN_CONDITION_WAITING_FOR_MEMORY;
    condition.reason = absl::StrCat(
        "no room to stage what ", Names(lacking), lacking.size() == 1 ? " sends" : " send",
        situation.room_holders.empty() ? "" : ": ", situation.room_holders);
    return condition;
  }
  condition.kind = WorkersIn(situation, v1::WORKER_STATE_DISCONNECTED).empty()
                       ? v1::RUN_CONDITION_WAITING_FOR_PUSHES
                       : v1::RUN_CONDITION_WAITING_FOR_WORKERS;
  condition.reason = absl::StrCat(Doing(situation), WhatIsNext(situation));
  return condition;
}

}  // namespace

bool SpeaksForAll(int64_t non_finite_pushes, bool synchronous, int64_t live_workers) {
  return non_finite_pushes >= (synchronous ? 1 : std::max<int64_t>(1, live_workers));
}

Condition JudgeCondition(const RunSituation& situation) {
  if (!situation.disk_failure.empty()) {
    return {v1::RUN_CONDITION_DISK_FAILED,
            absl::StrCat("what happens cannot be made durable: ", situation.disk_failure,
                         "; it goes on when the server is started anew"),
            std::nullopt};
  }
  if (situation.waits_for_disk) {
    return {v1::RUN_CONDITION_WAITING_FOR_DISK,
            "the disk of the state directory is full; the run goes on when there is room",
            std::nullopt};
  }
  if (situation.state != v1::RUN_STATE_RUNNING) return Stopped(situation);
  Condition condition = situation.live_workers == 0 ? NoWorkers(situation) : Waiting(situation);
  const std::string diverged = DivergedReason(situation);
  if (diverged.empty()) return condition;
  const bool alone = condition.kind == v1::RUN_CONDITION_NO_WORKERS;
  Condition worse;
  worse.kind = v1::RUN_CONDITION_DIVERGED;
  worse.reason = alone ? absl::StrCat(diverged, "; no workers: ", condition.reason) : diverged;
  if (!situation.divergence.has_value()) worse.since = situation.non_finite_at;
  return worse;
}

}  // namespace gradd
