#ifndef GRADD_CTL_PULL_H_
#define GRADD_CTL_PULL_H_

#include "absl/status/status.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"

namespace gradd::ctl {

// `gradctl pull`: writes a run's parameters to a file.
absl::Status Pull(const CommandLine& line, Client* client, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_PULL_H_
