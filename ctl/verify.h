#ifndef GRADD_CTL_VERIFY_H_
#define GRADD_CTL_VERIFY_H_

#include "absl/status/status.h"
#include "core/base/file_system.h"
#include "ctl/command_line.h"
#include "ctl/console.h"

namespace gradd::ctl {

// The command of that name: reads every file of the runs in a state directory, changes none, and
// prints a line for each. DATA_LOSS if one is damaged.
absl::Status Verify(const CommandLine& line, FileSystem* files, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_VERIFY_H_
