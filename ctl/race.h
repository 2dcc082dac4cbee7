#ifndef GRADD_CTL_RACE_H_
#define GRADD_CTL_RACE_H_

#include "absl/status/status.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"

namespace gradd::ctl {

// `gradctl race`: trains the run's model under several optimizers side by side, each at the rate it
// was given or at one that a sweep finds first.
absl::Status Race(const CommandLine& line, Client* client, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_RACE_H_
