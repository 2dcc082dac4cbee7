#ifndef GRADD_CTL_LR_FIND_H_
#define GRADD_CTL_LR_FIND_H_

#include "absl/status/status.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"

namespace gradd::ctl {

// `gradctl lr-find`: sweeps the learning rate over a trial of the run and suggests one.
absl::Status FindRate(const CommandLine& line, Client* client, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_LR_FIND_H_
