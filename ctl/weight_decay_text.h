#ifndef GRADD_CTL_WEIGHT_DECAY_TEXT_H_
#define GRADD_CTL_WEIGHT_DECAY_TEXT_H_

#include <string>

#include "gradd/v1/optimizer.pb.h"

namespace gradd::ctl {

// What --weight-decay and --weight-decay-mode are where they are not given, which each method
// decides: for the help.
std::string WeightDecayHelp();
std::string WeightDecayModeHelp();

// The decay that acts in a run with this optimizer, whether set or the method's own: `0.01,
// decoupled`. Empty if nothing decays.
std::string WeightDecayText(const v1::Optimizer& optimizer);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_WEIGHT_DECAY_TEXT_H_
