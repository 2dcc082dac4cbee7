#ifndef GRADD_CTL_HISTORY_H_
#define GRADD_CTL_HISTORY_H_

#include "absl/status/status.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"

namespace gradd::ctl {

// `gradctl history`: how runs went, as a table, a picture, or in the terminal.
absl::Status ShowHistory(const CommandLine& line, Client* client, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_HISTORY_H_
