#ifndef GRADD_TESTS_WORKER_FAKE_SESSION_H_
#define GRADD_TESTS_WORKER_FAKE_SESSION_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "worker/training_session.h"

namespace gradd {

// What became visible of one push.
struct RecordedPush {
  int64_t sequence;
  int64_t base_step;
  int64_t examples;
  double loss;
  std::vector<float> gradient;
  std::vector<int64_t> batches = {};
};

// A run with plain gradient descent and one worker, outliving that worker's sessions.
struct FakeRun {
  std::vector<float> parameters;
  float learning_rate = 0.1F;
  int64_t step = 0;
  int64_t max_steps = 0;  // 0: no end.
  int64_t last_sequence = 0;
  bool record = true;
  std::vector<RecordedPush> pushes;
  int pulls = 0;
  int leaves = 0;

  // Called at each push, before anything else; may be null.
  std::function<void()> on_push;
  // Reports to give instead of applying the pushes, in order; empty ones are applied.
  std::deque<std::function<absl::StatusOr<PushReport>(const PushReport& normal)>> script;
  // That its parameters are of, and that pushes say.
  uint64_t timeline = 1;
  std::vector<uint64_t> timelines_pushed;
  // Whose batches it hands out; null: it has no data set.
  std::shared_ptr<v1::DataSet> data;
  int64_t next_batch = 0;
  int64_t last_batch = 0;
  // Called where a worker would wait: whether it does so in vain, for all of its patience. May be
  // null.
  std::function<bool()> on_wait;
  // The next push is never answered.
  bool swallow = false;
  bool finished_early = false;
};

class FakeSession : public TrainingSession {
 public:
  explicit FakeSession(FakeRun* run) : run_(run) {}

  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters) override {
    if (run_->on_push) run_->on_push();
    if (run_->record) run_->timelines_pushed.push_back(info.timeline);
    if (run_->record) {
      run_->pushes.push_back({run_->last_sequence + 1,
                              info.base_step,
                              info.examples,
                              info.loss,
                              {gradient.begin(), gradient.end()},
                              info.batches});
    }
    std::promise<absl::StatusOr<PushReport>> promise;
    std::future<absl::StatusOr<PushReport>> future = promise.get_future();
    if (run_->swallow) {
      unanswered_.push_back(std::move(promise));
      return future;
    }
    PushReport report;
    report.outcome = v1::PUSH_OUTCOME_APPLIED;
    report.sequence = ++run_->last_sequence;
    report.step = report.parameters_step = run_->step + 1;
    std::function<absl::StatusOr<PushReport>(const PushReport&)> scripted;
    if (!run_->script.empty()) {
      scripted = std::move(run_->script.front());
      run_->script.pop_front();
    }
    if (scripted) {
      const absl::StatusOr<PushReport> said = scripted(report);
      if (said.ok() && said->parameters_step >= 0) timeline_ = run_->timeline;
      promise.set_value(said);
      return future;
    }
    ++run_->step;
    for (size_t i = 0; i < gradient.size(); ++i) {
      run_->parameters[i] -= run_->learning_rate * gradient[i];
    }
    std::copy(run_->parameters.begin(), run_->parameters.end(), parameters.begin());
    promise.set_value(report);
    return future;
  }

  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) override {
    ++run_->pulls;
    timeline_ = run_->timeline;
    std::copy(run_->parameters.begin(), run_->parameters.end(), parameters.begin());
    return run_->step;
  }
  const v1::DataSet* data_set() const override { return run_->data.get(); }
  absl::StatusOr<std::vector<int64_t>> NextBatches(int64_t /*count*/,
                                                   absl::Duration patience) override {
    // Others have all of them for now.
    if (patience == absl::ZeroDuration() && run_->next_batch % 3 == 0) {
      return absl::DeadlineExceededError("no batch is free now");
    }
    if (patience > absl::ZeroDuration() && run_->on_wait && run_->on_wait()) {
      return absl::DeadlineExceededError("no batch is free now");
    }
    if (run_->next_batch > run_->last_batch) return std::vector<int64_t>();
    return std::vector<int64_t>{run_->next_batch++};
  }
  absl::Status Leave() override {
    ++run_->leaves;
    return absl::OkStatus();
  }
  int64_t next_sequence() const override { return run_->last_sequence + 1; }
  uint64_t timeline() const override { return timeline_; }
  bool finished() const override {
    return run_->finished_early || (run_->max_steps > 0 && run_->step >= run_->max_steps);
  }

 private:
  FakeRun* run_;
  uint64_t timeline_ = 1;  // Of the parameters that came last.
  std::vector<std::promise<absl::StatusOr<PushReport>>> unanswered_;
};

// Evaluates at the run's own parameters and keeps what is reported.
class FakeEvaluation : public EvaluationChannel {
 public:
  explicit FakeEvaluation(FakeRun* run) : run_(run) {}

  absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) override {
    if (!error.ok()) return error;
    std::copy(run_->parameters.begin(), run_->parameters.end(), parameters.begin());
    return run_->step;
  }
  absl::Status Report(const v1::Evaluation& evaluation) override {
    reported.push_back(evaluation);
    return absl::OkStatus();
  }

  absl::Status error;
  std::vector<v1::Evaluation> reported;

 private:
  FakeRun* run_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_WORKER_FAKE_SESSION_H_
