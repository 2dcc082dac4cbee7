#ifndef GRADD_SERVER_SHOWN_CONDITIONS_H_
#define GRADD_SERVER_SHOWN_CONDITIONS_H_

#include <map>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// How much a run needs somebody: 4 it diverged, 3 nobody is there, 2 it waits, 1 it was stopped,
// by a person or for its trials, 0 it trains or is finished.
int SeverityOf(v1::RunCondition condition);

// Since when the runs are in their conditions and why, as /metrics shows it.
//
// Each text that a label gets is a series of its own, for as long as Prometheus keeps it, and the
// reasons of some runs change with every push. So a run gets ten texts, and then one a minute: what
// stands there may be as much older than the run's own reason, or missing if the condition has
// changed since.
//
// Not thread safe.
class ShownConditions {
 public:
  struct Shown {
    absl::Time since;    // Where the run does not say: of the first look that found it so.
    std::string reason;  // At most kMaxReasonBytes.
  };
  static constexpr int kTexts = 10;
  static constexpr absl::Duration kTextInterval = absl::Minutes(1);
  static constexpr size_t kMaxReasonBytes = 200;

  // The run at `now`, which does not go back.
  Shown Look(const std::string& run_id, const v1::RunProgress& progress, absl::Time now);
  // The runs that there are: others are forgotten.
  void Keep(const std::set<std::string>& run_ids);

 private:
  struct Entry {
    v1::RunCondition kind = v1::RUN_CONDITION_UNSPECIFIED;
    Shown shown;
    double texts = kTexts;  // That it may still get, as of `at`.
    absl::Time at;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_SHOWN_CONDITIONS_H_
