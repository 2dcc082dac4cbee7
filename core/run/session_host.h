#ifndef GRADD_CORE_RUN_SESSION_HOST_H_
#define GRADD_CORE_RUN_SESSION_HOST_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/run/staging_room.h"
#include "core/run/waiting_pushes.h"
#include "core/run/worker_session.h"
#include "core/store/layout.h"
#include "core/sync/staged_push.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// What a worker's session needs of the run that it joined, in the order of its life. A session may
// call with its own lock held, and no other; nothing here calls back into a session within the
// call. Thread safe.
class SessionHost {
 public:
  virtual ~SessionHost() = default;

  virtual const Layout& layout() const = 0;

  // Welcomes the worker, or says why it cannot join.
  virtual absl::Status Join(const SessionPtr& session, const v1::Join& join) = 0;

  // The worker asks for batches of the data set, or gives some back. An error ends its stream.
  virtual absl::Status HandleBatches(WorkerSession* session, const v1::TrainRequest& request) = 0;

  // Begins a push. Fills in the timeline where the header leaves it to the session's welcome.
  virtual absl::StatusOr<PushAdmission> BeginPush(WorkerSession* session,
                                                  v1::PushHeader* header) = 0;
  // Stages the gradient that the session shares.
  virtual absl::Status StageSharedGradient(WorkerSession* session, StagedPush* push) = 0;
  // The push that is being staged is not finite. False if it may not be skipped.
  virtual bool SkipPush(WorkerSession* session) = 0;
  // The push that is being staged is refused.
  virtual void RejectPush(WorkerSession* session, int64_t sequence, const absl::Status& why) = 0;
  // The push is complete and valid: it waits for its step.
  virtual void CommitPush(const SessionPtr& session, std::shared_ptr<const StagedPush> push,
                          bool want_parameters, const PushArrival& arrival) = 0;
  // The push was ignored, or taken back before its end.
  virtual void CommitIgnored(const SessionPtr& session, const v1::PushHeader& header,
                             PushAdmission why, bool want_parameters) = 0;
  // Takes back the complete push that waits for its step and came in this session, or in an earlier
  // one; false, with nothing done, if there is none.
  virtual bool AbortWaiting(const SessionPtr& session, int64_t sequence, bool since_earlier) = 0;
  // Why a push that is coming in cannot become part of a step any more: its step was made without
  // it, or a new timeline began. Then its room is given back.
  virtual std::optional<PushAdmission> ReturnIfInVain(WorkerSession* session,
                                                      const v1::PushHeader& header) = 0;
  // The room of the push that is coming in, if others need it; otherwise null.
  virtual StagingRoom::Claim TakeBackRoom(WorkerSession* session) = 0;

  // The parameters that were sent have left.
  virtual void ParametersSent(WorkerSession* session) = 0;
  // A request that was held could go on: the sink reads the next one.
  virtual void ResumeReading(WorkerSession* session) = 0;

  // The worker leaves; it sends nothing more; its stream has ended; or what it sent ends it.
  virtual void Leave(WorkerSession* session) = 0;
  virtual void HalfClose(WorkerSession* session) = 0;
  virtual void Disconnect(WorkerSession* session) = 0;
  virtual void FailSession(WorkerSession* session, const absl::Status& status) = 0;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SESSION_HOST_H_
