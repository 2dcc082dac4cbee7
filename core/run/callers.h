#ifndef GRADD_CORE_RUN_CALLERS_H_
#define GRADD_CORE_RUN_CALLERS_H_

#include "core/base/caller_shares.h"
#include "core/run/limits.h"

namespace gradd {

// What callers take of a server besides runs and their workers. Thread safe.
struct Callers {
  explicit Callers(const Limits& limits)
      : watches({"watches", "max-watches", limits.max_watches, limits.caller_percent}),
        pulls({"pulls", "max-pulls", limits.max_pulls, limits.caller_percent}),
        unjoined_streams({"streams that have not joined a run", "max-unjoined-streams",
                          limits.max_unjoined_streams, limits.caller_percent}),
        trial_runs(
            {"runs for trials", "max-trial-runs", limits.max_trial_runs, limits.caller_percent}),
        imports({"imports", "max-imports", limits.max_imports, limits.caller_percent}) {}

  CallerShares watches;
  CallerShares pulls;
  CallerShares unjoined_streams;
  CallerShares trial_runs;
  CallerShares imports;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_CALLERS_H_
