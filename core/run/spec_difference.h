#ifndef GRADD_CORE_RUN_SPEC_DIFFERENCE_H_
#define GRADD_CORE_RUN_SPEC_DIFFERENCE_H_

#include <string>
#include <vector>

#include "gradd/v1/run.pb.h"

namespace gradd {

// Paths of the fields below Run that a client sets and in which the two runs differ, in the order
// of their numbers: as far below as both have the same message, so `optimizer.adam.beta1`, but
// `optimizer` where their kinds are others. Layouts are not looked at.
std::vector<std::string> DifferentFields(const v1::Run& run, const v1::Run& other);

// The same, with the layout, for the fields that `wanted` sets: those in which `found` is another
// run than was asked for. Labels that it has besides do not count.
std::vector<std::string> UnmetFields(const v1::Run& wanted, const v1::Run& found);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SPEC_DIFFERENCE_H_
