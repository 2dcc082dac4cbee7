#ifndef GRADD_SERVER_PAST_H_
#define GRADD_SERVER_PAST_H_

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/runs_file.h"

namespace gradd {

// What a server can say of the time before it has any runs: they live in its memory only.
struct Past {
  absl::Time since = absl::Now();          // Its start.
  std::vector<RunsRecord::Run> lost_runs;  // Of the last server in its place.
  std::string lost_text;                   // LostRunsText() of them.
};

}  // namespace gradd

#endif  // GRADD_SERVER_PAST_H_
