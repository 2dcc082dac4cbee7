#ifndef GRADD_CORE_RUN_RUN_CONDITION_H_
#define GRADD_CORE_RUN_RUN_CONDITION_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/diagnostics/divergence.h"
#include "core/members/departures.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// For so long nothing may happen without a word: workers that are not equally fast wait for one
// another at every step, and one that lost its connection is back soon.
constexpr absl::Duration kConditionPatience = absl::Seconds(5);

// What a run's condition is read from. A plain value: Run writes down what is the case, and
// JudgeCondition() says what that means. All times are by Clock::Elapsed().
struct RunSituation {
  v1::RunState state = v1::RUN_STATE_RUNNING;  // HELD included.
  absl::Duration now;
  // Not RUNNING: since when, by whom (empty: the server), and what for, where that is known.
  absl::Duration stopped_at;
  std::string stopped_by;
  std::string stop_reason;
  int64_t trials = 0;  // That hold it.

  // What happens cannot be made durable any more, for this; empty: it can.
  std::string disk_failure;

  // What its losses say.
  std::optional<Divergence> divergence;
  // Pushes that were refused since the last step because they are not finite.
  int64_t non_finite_pushes = 0;
  std::string non_finite_reason;  // Why the last of them was refused.
  absl::Duration non_finite_at;

  bool waits_for_disk = false;  // There is no room on it for what happens.
  bool synchronous = true;
  int64_t expected_workers = 0;  // That a synchronous run starts with.
  bool formed = false;           // They have been there.
  int64_t live_workers = 0;
  // Each live worker, in the order of their ids. Not read where `moved_at` is not longer ago than
  // kConditionPatience and the run is formed: it may be empty then.
  struct Worker {
    std::string id;
    v1::WorkerState state = v1::WORKER_STATE_COMPUTING;
    bool lacks_memory = false;   // What it sends waits for room to stage it.
    bool lacks_batches = false;  // It waits for batches of the data set, all of which others have.
  };
  std::vector<Worker> workers;
  // Who has the room that they lack, if somebody has: `run big, which is paused, has 3.2 GB for
  // w1`.
  std::string room_holders;
  // Who has the batches that some lack, in the order of their ids.
  std::vector<std::string> batch_holders;
  // Whom the next step waits for, and how long it goes on waiting before it is made without them;
  // infinite: for as long as it takes. As `workers`, and in the same order.
  std::vector<std::string> waits_for;
  absl::Duration waits_left = absl::InfiniteDuration();
  int64_t waits_enough = 0;  // So many of them make the step; 0: all are needed.
  // Live workers that no step waits for any more, since they were too late too often; and those
  // without which the last step was made at its deadline.
  std::vector<std::string> not_waited_for;
  std::vector<std::string> last_missing;
  bool step_lacks_memory = false;    // A step is due, and there is no memory for its result.
  bool writes_checkpoint = false;    // One is being written, and keeps blocks until they are.
  std::deque<Departure> departures;  // The newest first.

  // When the run last moved: it was created or went on after a pause, a step was made, a worker
  // joined, or the first push for a step came in. Since then it waits.
  absl::Duration moved_at;
};

// See v1::RunProgress.condition.
struct Condition {
  v1::RunCondition kind = v1::RUN_CONDITION_TRAINING;
  std::string reason;
  std::optional<absl::Duration> since;  // By Clock::Elapsed().
};

// Whether so many pushes in a row that are not finite mean that the run diverges: where each push
// may be a step, one worker that computes nonsense does not speak for the others.
bool SpeaksForAll(int64_t non_finite_pushes, bool synchronous, int64_t live_workers);

Condition JudgeCondition(const RunSituation& situation);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_CONDITION_H_
