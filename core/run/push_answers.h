#ifndef GRADD_CORE_RUN_PUSH_ANSWERS_H_
#define GRADD_CORE_RUN_PUSH_ANSWERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "core/run/data_leases.h"
#include "core/run/replies.h"
#include "core/run/run_events.h"
#include "core/run/run_record.h"
#include "core/run/run_reports.h"
#include "core/run/run_signs.h"
#include "core/run/sessions.h"
#include "core/run/waiting_pushes.h"
#include "core/step/step_engine.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// How the pushes of a run are answered: what counts is in the log before the worker is told. Not
// thread safe.
class PushAnswers {
 public:
  // The parts of the run that are needed for it. All outlive this.
  struct Parts {
    RunRecord* record = nullptr;
    RunEvents* events = nullptr;  // Of that record.
    const StepEngine* engine = nullptr;
    Sessions* sessions = nullptr;
    Replies* replies = nullptr;
    DataLeases* leases = nullptr;
    RunReports* reports = nullptr;
    RunSigns* signs = nullptr;
    const Clock* clock = nullptr;
  };
  explicit PushAnswers(const Parts& parts) : parts_(parts) {}

  // A member's push is answered without a step; only enters that.
  void Enter(const std::string& worker, const v1::PushHeader& header, v1::PushOutcome outcome);
  // Answers one that waited, or was too late for that.
  void Resolve(const PendingPush& pending, v1::PushOutcome outcome);
  // Answers one that a step has taken, or the window: it is in the log.
  void TellTaken(const PendingPush& pending, v1::PushOutcome outcome);
  // Refuses one that comes in, unless the session is nobody's any more. Its sequence is not used
  // up.
  void Reject(WorkerSession* session, int64_t sequence, const absl::Status& why);
  // The same for those that waited.
  void RejectPending(std::vector<PendingPush> pushes, const absl::Status& why);

 private:
  // It waits no more. `for_good`: its sequence is used up.
  void LetGo(const PendingPush& pending, bool for_good);

  const Parts parts_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_PUSH_ANSWERS_H_
