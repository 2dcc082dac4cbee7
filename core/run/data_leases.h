#ifndef GRADD_CORE_RUN_DATA_LEASES_H_
#define GRADD_CORE_RUN_DATA_LEASES_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/data/batch_ledger.h"
#include "core/run/run_course.h"
#include "core/run/run_events.h"
#include "core/run/run_record.h"
#include "core/run/sessions.h"
#include "core/run/step_on_its_way.h"
#include "core/run/waiting_pushes.h"
#include "core/run/worker_session.h"
#include "core/step/step_policy.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// How a run hands out the batches of its data set, and which of them its pushes may name. Who has
// which is in the run's record, and changes by events; here is who waits for some. In a run without
// a data set nobody gets any. Not thread safe.
class DataLeases {
 public:
  // The parts of the run that are needed for it. All outlive this.
  struct Parts {
    const RunRecord* record = nullptr;
    RunEvents* events = nullptr;  // Of that record.
    const RunCourse* course = nullptr;
    const Sessions* sessions = nullptr;
    const WaitingPushes* waiting = nullptr;
    const std::unique_ptr<StepOnItsWay>* step = nullptr;  // Null: none is on its way.
  };
  explicit DataLeases(const Parts& parts) : parts_(parts) {}

  // ---- Who gets batches. ----

  // What a worker that joins is told of the data, if there is any.
  void Welcome(const std::string& worker, v1::Welcome* welcome) const;
  // The session asks for batches, or gives some back. An error ends its stream. To be followed by
  // Serve().
  absl::Status Handle(WorkerSession* session, const v1::TrainRequest& request);
  // Answers those who wait for batches, in the order they asked, where there are some or none will
  // be. To be called when that may have changed.
  void Serve();
  // Whether the worker can do nothing before it gets batches that it has asked for.
  bool WaitsForBatches(const WorkerSession& session) const;

  // ---- What pushes name. ----

  // Whether a push that begins names batches that are unused; an error if it may not name them.
  absl::StatusOr<bool> CheckHeader(const std::string& worker, const v1::PushHeader& header) const;
  // OK if the complete push has as many examples as its batches.
  absl::Status CheckExamples(const v1::PushHeader& header) const;
  // Whether a batch of the push is used up by now, or in another one that waits.
  bool IsTooLate(const std::string& worker, const v1::PushHeader& header) const;
  // Adds what the pushes that a decision takes name. They wait still.
  void Name(const Verdict& verdict, state::v1::StepDecision* decision) const;
  void Name(size_t index, state::v1::FoldedPush* fold) const;

  // ---- Whom steps wait for. ----

  // Workers that a step would wait for, in the order of their ids, but that have no batch and can
  // get none: it does not wait for them.
  std::vector<std::string> Idle() const;
  // Whether a step is due of what lies in the window, since no push comes any more.
  bool EndsWindow(const PolicyState& state) const;

 private:
  const BatchLedger* ledger() const { return parts_.record->batches(); }
  // What pushes name that wait or whose step may yet be undone, if others could have it as well.
  BatchRanges Reserved() const;
  // Calls `see` for each of these pushes.
  template <typename See>
  void ForEachWaiting(const See& see) const;
  absl::Status Return(const std::string& worker, const v1::ReturnBatches& returned);
  void Answer(WorkerSession* session, const BatchLedger::Ranges& ranges) const;

  const Parts parts_;
  std::deque<std::string> asking_;  // Workers, in the order they asked.
};

// A push was answered for good, and its worker had named other batches with its sequence since, in
// a session that goes on: as far as it knows they are used up. They go out again.
void ReturnUnpushed(const PendingPush& answered, const Sessions& sessions, const RunRecord& record,
                    RunEvents* events);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_DATA_LEASES_H_
