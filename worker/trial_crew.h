#ifndef GRADD_WORKER_TRIAL_CREW_H_
#define GRADD_WORKER_TRIAL_CREW_H_

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <thread>

#include "core/base/mutex.h"

namespace gradd {

// Trains trials of a run beside it, each on a thread of its own. Thread safe.
class TrialCrew {
 public:
  // Trains one run until it is over or `stop` is set.
  using Train = std::function<void(const std::string& run, const std::atomic<bool>* stop)>;
  explicit TrialCrew(Train train) : train_(std::move(train)) {}
  // Stops all and waits for them.
  ~TrialCrew();

  // Begins to train `run`, unless that is being done.
  void Begin(const std::string& run);

 private:
  struct Trial {
    std::thread thread;
    std::atomic<bool> done{false};
  };

  const Train train_;
  std::atomic<bool> stop_{false};
  Mutex mutex_;
  std::map<std::string, Trial> trials_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_WORKER_TRIAL_CREW_H_
