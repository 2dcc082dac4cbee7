#ifndef GRADD_CTL_GRADCTL_H_
#define GRADD_CTL_GRADCTL_H_

#include <string>
#include <vector>

#include "ctl/console.h"

namespace gradd::ctl {

// The whole program apart from what belongs to a process: understands `args` (without the program's
// name), does what they say, and returns the exit code (status.h).
int Gradctl(const std::vector<std::string>& args, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_GRADCTL_H_
