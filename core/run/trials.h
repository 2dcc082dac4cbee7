#ifndef GRADD_CORE_RUN_TRIALS_H_
#define GRADD_CORE_RUN_TRIALS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "core/run/trial_log.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd {

// Copies of a run that are trained side by side, for as long as this lives: see
// RunService.RunTrials. Destruction deletes them and lets the run go on.
//
// Thread safety: Start() from any thread; otherwise one at a time.
class Trials {
 public:
  using Receiver = std::function<void(absl::StatusOr<std::unique_ptr<Trials>>)>;

  // Holds the run and creates the trials, on the registry's pool; then calls `receive`, once, with
  // them or with what is wrong. Their runs count against `caller`. `registry` outlives both.
  static void Start(RunRegistry* registry, v1::RunTrialsRequest request, const std::string& caller,
                    Receiver receive);

  ~Trials();
  Trials(const Trials&) = delete;
  Trials& operator=(const Trials&) = delete;

  // What happened since the last call, as the next response; the first one has the names. Empty if
  // there is nothing new.
  v1::RunTrialsResponse TakeNews();

  // Whether all trials are over, and their last news is taken.
  bool over() const;

  // OK as long as it makes sense to wait for more: NOT_FOUND if the run was deleted,
  // DEADLINE_EXCEEDED if nothing happened for too long.
  absl::Status CheckAlive() const;

 private:
  struct Trial {
    std::shared_ptr<Run> run;
    std::shared_ptr<TrialLog> log;
    bool over = false;
  };

  Trials(RunRegistry* registry, absl::Duration idle_timeout, std::shared_ptr<Run> origin,
         const std::string& caller, CallerShares::Ticket runs);
  static absl::StatusOr<std::unique_ptr<Trials>> Create(
      RunRegistry* registry, const v1::RunTrialsRequest& request, std::shared_ptr<Run> origin,
      const std::string& caller, CallerShares::Ticket runs, absl::StatusOr<HeldRun> held);
  absl::Status Add(const v1::Trial& trial, const HeldRun& held);

  RunRegistry* const registry_;
  const absl::Duration idle_timeout_;
  const std::shared_ptr<Run> origin_;  // Null: the caller brought its own spec.
  const std::string name_;             // For people.
  const CallerShares::Ticket runs_;    // The caller's share of runs for trials.
  std::vector<Trial> trials_;
  bool named_ = false;
  absl::Duration moved_at_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_TRIALS_H_
