#ifndef GRADD_CORE_STEP_STEP_DECISION_H_
#define GRADD_CORE_STEP_STEP_DECISION_H_

#include <cstdint>
#include <vector>

#include "core/step/step_policy.h"
#include "gradd/state/v1/event.pb.h"

namespace gradd {

// What the schedule says of one step, before the policy's factor.
struct StepRates {
  double learning_rate = 0;
  double without_warm_up = 0;
  double momentum = -1;  // Below 0: the schedule cycles none.
};

// The step that a verdict of kStep makes of `state`, with the mean of all examples as its gradient:
// a push of e of E examples has the coefficient e / E, times the verdict's factor, computed in
// double and rounded once to float32.
state::v1::StepDecision DecideStep(const Verdict& verdict, const PolicyState& state,
                                   const StepRates& rates);

// How the push that a verdict of kFold uses becomes part of the window: what lies there is the mean
// of its examples afterwards.
state::v1::FoldedPush DecideFold(const Verdict& verdict, const PolicyState& state);

// Of the used pushes, in their order.
std::vector<float> CoefficientsOf(const state::v1::StepDecision& decision);

}  // namespace gradd

#endif  // GRADD_CORE_STEP_STEP_DECISION_H_
