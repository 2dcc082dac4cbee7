#ifndef GRADD_CTL_CHECKPOINTS_H_
#define GRADD_CTL_CHECKPOINTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"
#include "gradd/v1/checkpoint.pb.h"

namespace gradd::ctl {

// The commands of these names: what is kept of a run on the server's disk, and what is done with
// it.
absl::Status MakeCheckpoint(const CommandLine& line, Client* client, Console* console);
absl::Status ListCheckpoints(const CommandLine& line, Client* client, Console* console);
absl::Status Restore(const CommandLine& line, Client* client, Console* console);
absl::Status Fork(const CommandLine& line, Client* client, Console* console);
absl::Status Diff(const CommandLine& line, Client* client, Console* console);

// `step 100, 12s ago`, of the newest one; "" if there is none.
std::string NewestCheckpointText(const v1::ListCheckpointsResponse& checkpoints, absl::Time now);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CHECKPOINTS_H_
