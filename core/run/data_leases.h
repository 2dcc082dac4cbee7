#ifndef GRADD_CORE_RUN_DATA_LEASES_H_
#define GRADD_CORE_RUN_DATA_LEASES_H_

#include <cstdint>
#include <deque>
#include <map>
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
#include "core/run/waiting_pushes.h"
#include "core/run/worker_session.h"
#include "core/step/step_policy.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// How a run hands out the batches of its data set, and which of them its pushes may name. Who has
// which is in the run's record, and changes by events; here is who waits for some, and what the
// pushes name that wait. In a run without a data set nobody gets any.
//
// What a call costs depends on the ranges it is about, and by a logarithm on how many pushes wait;
// but for Serve(), which looks at all who ask, and Idle(), which looks at all members towards the
// end. Not thread safe.
class DataLeases {
 public:
  // The parts of the run that are needed for it. All outlive this.
  struct Parts {
    const RunRecord* record = nullptr;
    RunEvents* events = nullptr;  // Of that record.
    const RunCourse* course = nullptr;
    const Sessions* sessions = nullptr;
    const WaitingPushes* waiting = nullptr;
  };
  explicit DataLeases(const Parts& parts) : parts_(parts) {}

  // ---- Who gets batches. ----

  // What a worker that joins is told of the data, if there is any. What is in a push of an earlier
  // session that waits is not among it.
  void Welcome(const std::string& worker, v1::Welcome* welcome);
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
  // A push of the worker waits from now on, or its step may yet be undone: what it names goes to
  // nobody else.
  void PushWaits(const std::string& worker, const v1::PushHeader& header);
  // In a later session its worker names these batches with the same sequence.
  void NameAgain(const std::string& worker, const v1::PushHeader& header);
  // It is no longer so, if it was. `for_good`: its sequence is used up, and so its worker forgets
  // whatever it has named with it; otherwise it may push the same again. What it does not count on
  // goes out again; as the worker may not have heard of that yet, its push with it may still count.
  // To be followed by Serve().
  void PushGone(const std::string& worker, bool for_good);
  // The worker forgets these batches, whatever they are: those that it has go out again, at once or
  // when a push of its own with them has come to nothing. To be followed by Serve().
  void Forget(const std::string& worker, const BatchLedger::Ranges& ranges);
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
  // What the push of a worker names that waits, or whose step may yet be undone.
  struct InPush {
    BatchRanges named;
    BatchRanges forgotten;    // Of these: its worker does not count on them.
    BatchRanges named_again;  // Beside them, in a later session.
  };

  const BatchLedger* ledger() const { return parts_.record->batches(); }
  // The worker has these no more, if it has; what is unused of them is free from now on.
  void End(const std::string& worker, const BatchRanges& ranges, state::v1::DataLease::Kind kind);
  void Answer(WorkerSession* session, const BatchLedger::Ranges& ranges) const;

  const Parts parts_;
  std::deque<std::string> asking_;           // Workers, in the order they asked.
  std::map<std::string, InPush> in_pushes_;  // By worker.
  BatchRanges reserved_;                     // What they name, all of them; none twice.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_DATA_LEASES_H_
