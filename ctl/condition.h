#ifndef GRADD_CTL_CONDITION_H_
#define GRADD_CTL_CONDITION_H_

#include <string>

#include "gradd/v1/run.pb.h"

namespace gradd::ctl {

// What a run does, in a word or two: `running`, `no workers`, `waiting`, `diverged`, `paused`. Of a
// server that knows of no conditions, the run's state.
std::string ConditionWord(const v1::RunProgress& progress);

// The same with the reason: `waiting: 1 of 2 workers: w0 is there, w1 left`.
std::string ConditionText(const v1::RunProgress& progress);

// The same with the time too: `waiting for 0:40: 1 of 2 workers: w0 is there, w1 left`.
std::string TimedConditionText(const v1::RunProgress& progress);

// Whether somebody has to do something before the run goes on as it should.
bool NeedsAttention(v1::RunCondition condition);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CONDITION_H_
