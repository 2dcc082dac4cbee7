#ifndef GRADD_CTL_LANDSCAPE_H_
#define GRADD_CTL_LANDSCAPE_H_

#include <string>

#include "absl/status/status.h"
#include "ctl/client.h"
#include "ctl/command_line.h"
#include "ctl/console.h"

namespace gradd::ctl {

// `bowl, valley, ...`: all that there are.
std::string LandscapeNames();

// `gradctl landscape`: lets optimizers walk over a function of two parameters and draws their paths
// over its contours.
absl::Status DrawLandscape(const CommandLine& line, Client* client, Console* console);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_LANDSCAPE_H_
