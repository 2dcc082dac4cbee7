#ifndef GRADD_CTL_NEAREST_H_
#define GRADD_CTL_NEAREST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace gradd::ctl {

// Which of `known` was probably meant by `text`: the one that takes the fewest letters put in, left
// out or exchanged. Empty where that would be too many.
std::string Nearest(absl::string_view text, const std::vector<std::string>& known);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_NEAREST_H_
