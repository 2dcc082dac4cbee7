#ifndef GRADD_CORE_RUN_REPLIES_H_
#define GRADD_CORE_RUN_REPLIES_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "core/base/clock.h"
#include "core/diagnostics/push_outcomes.h"
#include "core/diagnostics/step_profile.h"
#include "core/run/data_leases.h"
#include "core/run/run_course.h"
#include "core/run/run_record.h"
#include "core/run/sessions.h"
#include "core/run/snapshot_requests.h"
#include "core/run/waiting_pushes.h"
#include "core/step/step_engine.h"
#include "core/store/layout.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Whether an answer of that kind is an event of the run; the others change nothing.
inline bool IsEvent(v1::PushOutcome outcome) {
  return outcome != v1::PUSH_OUTCOME_DUPLICATE && outcome != v1::PUSH_OUTCOME_RESEND &&
         outcome != v1::PUSH_OUTCOME_ABORTED;
}

// What a run sends to its workers: welcomes, parameters, and what became of their pushes. Not
// thread safe.
class Replies {
 public:
  // The parts of the run that replies are made of. All outlive this.
  struct Parts {
    const Layout* layout = nullptr;
    const Clock* clock = nullptr;
    const RunRecord* record = nullptr;
    const RunCourse* course = nullptr;
    StepEngine* engine = nullptr;
    Sessions* sessions = nullptr;
    SnapshotRequests* snapshots = nullptr;
    const DataLeases* leases = nullptr;
    StepProfile* profile = nullptr;  // How long parameters take to leave.
  };
  explicit Replies(const Parts& parts) : parts_(parts) {}

  v1::Welcome WelcomeFor(const Member& member, v1::Encoding encoding) const;

  // The clock of the slowest live member that can push: one that has no batch and can get none
  // cannot. In time proportional to the members where there are such, else constant.
  int64_t Slowest() const;
  // Whether the member may have fresh parameters and begin a push, as far as others are concerned:
  // it is not too far ahead of the slowest, or the run is over.
  bool MayGoOn(const Member& member, int64_t slowest) const {
    return parts_.course->over() || parts_.record->policy().Releases(member.clock - slowest);
  }
  // The member's, as people see it.
  v1::WorkerState ShownState(const Member& member, int64_t slowest) const;
  // The newest parameters: at once, or when the step or the change that is on its way is done; and
  // not before MayGoOn().
  void SendParametersTo(const SessionPtr& session);
  // Has whoever was held back and MayGoOn() now go on. To be called when that may have changed: the
  // policy did, the run is over, or a worker is gone.
  void ReleaseHeldBack();
  // The same after pushes were taken.
  void ReleaseAfterPushes();
  // Whether the worker of a push takes the parameters of its step block by block.
  bool CanSendEarly(const PendingPush& pending) const;
  // Those of the step on its way, block by block as they become final. `next` is that step's
  // result.
  void SendEarly(WorkerSession* session, std::shared_ptr<const Snapshot> next);
  // All that was sent has left.
  void ParametersSent(WorkerSession* session);

  // Tells `session` what became of a push, and what it has not been `told`, if it is still the
  // member's.
  void Tell(Member* member, const SessionPtr& session, const v1::PushHeader& header,
            v1::PushOutcome outcome, bool want_parameters, Told told);
  // The result alone. `step` is the run's with it.
  void SendResult(WorkerSession* session, int64_t sequence, v1::PushOutcome outcome, int64_t step,
                  bool parameters_follow);
  // The push is refused: it is REJECTED for what `why` says.
  void SendRejection(WorkerSession* session, int64_t sequence, const absl::Status& why);

  // The answers that were no events.
  const PushOutcomes& outcomes() const { return outcomes_; }

 private:
  // Tells a session that maps the parameters where `snapshot` lies. False if it does not, if they
  // lie elsewhere, or if they may not be held for long.
  bool SendShared(WorkerSession* session, const std::shared_ptr<const Snapshot>& snapshot);
  // What was promised.
  void SendPromised(const SessionPtr& session);

  const Parts parts_;
  PushOutcomes outcomes_;
  int64_t slowest_ = 0;  // Where the slowest worker was at the last ReleaseHeldBack().
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_REPLIES_H_
