#ifndef GRADD_CTL_WATCH_H_
#define GRADD_CTL_WATCH_H_

#include "absl/status/status.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"

namespace gradd::ctl {

// `gradctl watch`: follows a run until it is finished. A server that was there and goes away is
// tried again for `line.reconnect`.
absl::Status Watch(const CommandLine& line, Client* client, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_WATCH_H_
