#ifndef GRADD_CTL_LANDSCAPE_PATHS_H_
#define GRADD_CTL_LANDSCAPE_PATHS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ctl/client.h"
#include "gradd/v1/optimizer.pb.h"
#include "worker/models/landscape.h"

namespace gradd::ctl {

// A walk over a landscape: with which optimizer, and where it led.
struct Walk {
  v1::Optimizer optimizer;
  double rate = 0;
  std::vector<Point> path;  // From the start on, a point for each step.
};

struct WalkOptions {
  Landscape landscape = Landscape::kBowl;
  Point start = {0, 0};
  double gradient_noise = 0;  // Its deviation.
  uint64_t seed = 0;          // Of the noise.
  int64_t steps = 200;
};

// Walks all of them, as trials of the server with this process as their worker, which trains as
// `gradworker --model landscape --batch 1` does. A path that diverges ends early. `more` is called
// after each walk, from any thread, one call at a time.
absl::Status WalkAll(Client* client, const WalkOptions& options, std::vector<Walk>* walks,
                     const std::function<void()>& more);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_LANDSCAPE_PATHS_H_
