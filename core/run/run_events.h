#ifndef GRADD_CORE_RUN_RUN_EVENTS_H_
#define GRADD_CORE_RUN_RUN_EVENTS_H_

#include <memory>
#include <string>
#include <utility>

#include "core/base/clock.h"
#include "core/run/event_log.h"
#include "core/run/run_record.h"
#include "gradd/state/v1/event.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// How a run's record changes: each event gets its number and its time, is
// appended to the log, and then in effect. Not thread safe.
class RunEvents {
 public:
  // `record` outlives this.
  RunEvents(std::shared_ptr<EventLog> log, const Clock* clock, RunRecord* record)
      : log_(std::move(log)), clock_(*clock), record_(*record) {}

  // `given`: its parameters are in no event, and nobody is told of it before a checkpoint has them.
  void Create(v1::Run spec, std::string uid, std::string request_id, bool given = false);
  // `decision` is as before when it returns.
  void MakeStep(state::v1::StepDecision* decision, EventLog::Pushes pushes);
  void Fold(const state::v1::FoldedPush& fold, const std::shared_ptr<const StagedPush>& push);
  void Answer(state::v1::AnsweredPush answer);
  // What else of the change is said depends on its kind.
  void ChangeMember(const std::string& worker, state::v1::MemberChange::Kind kind,
                    state::v1::MemberChange change = {});
  void ChangeLease(state::v1::DataLease lease);
  void ChangeSpec(state::v1::SpecChange change);
  void Evaluate(const v1::Evaluation& evaluation);
  // `author` is empty where the server itself does it; `reason` says what for:
  // `the result of step 17 is not finite`.
  void ChangeState(state::v1::StateChange change);
  void BeginTimeline(const std::string& author);
  // Nobody is told of it before a checkpoint has it. `restored.state` is that of RestoreState().
  void Restore(state::v1::RunRestored restored);
  void Delete();

 private:
  void Enter(state::v1::Event* event, EventLog::Pushes pushes = {});

  const std::shared_ptr<EventLog> log_;
  const Clock& clock_;
  RunRecord& record_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_RUN_EVENTS_H_
