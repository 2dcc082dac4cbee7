#include "worker/trial_crew.h"

namespace gradd {

TrialCrew::~TrialCrew() {
  stop_.store(true);
  std::map<std::string, Trial> trials;
  {
    MutexLock lock(&mutex_);
    trials.swap(trials_);
  }
  for (auto& [run, trial] : trials) trial.thread.join();
}

void TrialCrew::Begin(const std::string& run) {
  MutexLock lock(&mutex_);
  for (auto it = trials_.begin(); it != trials_.end();) {
    if (it->second.done.load()) {
      it->second.thread.join();
      it = trials_.erase(it);
    } else {
      ++it;
    }
  }
  if (stop_.load() || trials_.count(run) > 0) return;
  Trial& trial = trials_[run];
  trial.thread = std::thread([this, run, &trial] {
    train_(run, &stop_);
    trial.done.store(true);
  });
}

}  // namespace gradd
