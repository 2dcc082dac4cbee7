#ifndef GRADD_CTL_TRIALS_H_
#define GRADD_CTL_TRIALS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ctl/client.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd::ctl {

// What a trial has done so far.
struct TrialRecord {
  std::vector<v1::TrialStep> steps;
  v1::TrialState state = v1::TRIAL_STATE_RUNNING;
  std::string message;  // FAILED: why.
};

// Runs trials, with their records up to date whenever `more` is called. `more` returns false to end
// them early; null: let them all end. Errors say how to start a worker where there is none.
absl::Status RecordTrials(Client* client, const v1::RunTrialsRequest& request,
                          std::vector<TrialRecord>* records, const std::function<bool()>& more);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_TRIALS_H_
