#ifndef GRADD_CTL_DURABILITY_TEXT_H_
#define GRADD_CTL_DURABILITY_TEXT_H_

#include <string>

#include "gradd/v1/run.pb.h"

namespace gradd::ctl {

// What is written down of a run that is kept, and when, in words.
//
//   yes: nothing is lost when the server dies
//   no: steps since the newest checkpoint are lost when the server dies
std::string JournalText(const v1::Run& run);

// `newest`: where the newest one is; empty where that is not known.
//
//   every 1m, the newest 3 are kept; newest: step 200, 3s ago
//   every 1,000 steps or 1m, the newest 3, one in each 10,000 steps and the best are kept
std::string CheckpointsText(const v1::Checkpoints& checkpoints, const std::string& newest);

// What its guard does; empty: nothing.
//
//   pauses the run where it diverges
//   rolls the run back where it diverges, at 0.5 x its rate, 3 times at most
std::string GuardText(const v1::DivergenceGuard& guard);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_DURABILITY_TEXT_H_
