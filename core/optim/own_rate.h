#ifndef GRADD_CORE_OPTIM_OWN_RATE_H_
#define GRADD_CORE_OPTIM_OWN_RATE_H_

#include <optional>

#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// The learning rate of a method that finds its step sizes itself, so that no rate needs to be found
// for it: 1, which multiplies what it finds; for rprop the step size it starts with. None for all
// others.
//
// It is what a run of such a method has where none is given and what it is raced with. A warm-up
// is not for such methods: it is there because a rate that was chosen may be too large at first.
std::optional<double> OwnRate(v1::Optimizer::KindCase kind);

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_OWN_RATE_H_
