#ifndef GRADD_SERVER_METRICS_H_
#define GRADD_SERVER_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <vector>

#include "core/base/mutex.h"
#include "core/run/run_registry.h"
#include "server/shown_conditions.h"

namespace gradd {

// What Prometheus scrapes: read from the runs when it asks, so that steps pay nothing for it.
// A value that is not known yet is absent. Thread safe.
class Metrics : public prometheus::Collectable {
 public:
  // `registry` must outlive this.
  explicit Metrics(RunRegistry* registry) : registry_(registry) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  RunRegistry* const registry_;
  mutable Mutex mutex_;
  mutable ShownConditions conditions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_SERVER_METRICS_H_
