#ifndef GRADD_CORE_RUN_TRIAL_LOG_H_
#define GRADD_CORE_RUN_TRIAL_LOG_H_

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd {

// What happens in one trial: every step, until somebody takes it, and why it ended early.
// Thread safe.
class TrialLog {
 public:
  // Times are counted from `begin`, by Clock::Elapsed().
  explicit TrialLog(absl::Duration begin) : begin_(begin) {}

  // Sets the step's time.
  void AddStep(v1::TrialStep step, absl::Duration now) {
    step.set_seconds(absl::ToDoubleSeconds(now - begin_));
    MutexLock lock(&mutex_);
    steps_.push_back(std::move(step));
  }

  // A push was refused. The first reason counts.
  void Refuse(const absl::Status& why) {
    MutexLock lock(&mutex_);
    refusal_.Update(why);
  }

  struct News {
    std::vector<v1::TrialStep> steps;
    bool more = false;     // There are further ones.
    absl::Status refusal;  // OK: no push was refused so far.
  };
  // The next steps, at most `most`.
  News Take(size_t most) {
    MutexLock lock(&mutex_);
    News news;
    while (!steps_.empty() && news.steps.size() < most) {
      news.steps.push_back(std::move(steps_.front()));
      steps_.pop_front();
    }
    news.more = !steps_.empty();
    news.refusal = refusal_;
    return news;
  }

 private:
  const absl::Duration begin_;
  Mutex mutex_;
  std::deque<v1::TrialStep> steps_ ABSL_GUARDED_BY(mutex_);
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_TRIAL_LOG_H_
