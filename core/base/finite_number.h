#ifndef GRADD_CORE_BASE_FINITE_NUMBER_H_
#define GRADD_CORE_BASE_FINITE_NUMBER_H_

#include "absl/strings/string_view.h"

namespace gradd {

// What ParseFinite() takes, for messages.
constexpr absl::string_view kFiniteNumber = "a finite number up to 1.8e308";

// Reads a number that people wrote. False for what is none, for infinity and NaN, for what is
// beyond a double's range (1e400), and for what is not 0 and would become it (1e-400).
bool ParseFinite(absl::string_view text, double* number);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_FINITE_NUMBER_H_
