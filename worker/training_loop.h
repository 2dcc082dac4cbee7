#ifndef GRADD_WORKER_TRAINING_LOOP_H_
#define GRADD_WORKER_TRAINING_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/data/data_set.h"
#include "worker/data/batch_sampler.h"
#include "worker/data/dataset.h"
#include "worker/models/model.h"
#include "worker/training_session.h"

namespace gradd {

// How a worker trains.
struct TrainingLoopOptions {
  // Stop after this sequence, so counted over restarts. 0: when the run is finished.
  int64_t steps = 0;
  // Evaluate whenever the run's step has passed a multiple of this, and at the end.
  // 0: only at the end.
  int64_t eval_every = 0;
  // Compute the gradient of a sequence while the push of the one before is on its way, at the
  // parameters before that push: every push but the first is one step stale.
  bool prefetch = false;
  // Wait this long before each push, as a slow machine would.
  absl::Duration delay;
  // How long a push in flight may take after `stop` is set.
  absl::Duration leave_grace = absl::Seconds(2);
  // Set from elsewhere, such as a signal handler: finish soon. May be null.
  const std::atomic<bool>* stop = nullptr;
  // Gets one line per evaluation, and a few at the beginning and the end. May be null.
  std::function<void(const std::string& line)> log;
};

// What a worker did.
struct TrainingSummary {
  std::string worker;    // Its id, where it joined a server.
  int64_t pushes = 0;    // Answered.
  int64_t applied = 0;   // Of these, part of a step.
  int64_t step = 0;      // Of the last parameters seen.
  bool stopped = false;  // By `stop`.
};

// Trains one worker's share: pulls the parameters, then for each sequence computes the
// gradient of that sequence's mini-batch and pushes it, gathering the next mini-batch while
// the push is in flight. Where the run has a data set, the mini-batches are those that the server
// hands out, and training is over when there are no more. A worker that had to wait for one pulls
// the parameters again: others have made steps meanwhile, and a step may take no gradient that is
// as old as the wait.
//
// In steady state nothing is allocated but by the session; examples are gathered at
// most 1,024 at a time, so that a full batch needs no second copy of the data.
class TrainingLoop {
 public:
  // `model`, `train` and `test` must outlive the loop; `test` without examples and a null
  // `evaluation` both mean no evaluations.
  TrainingLoop(TrainingLoopOptions options, Model<float>* model, const Dataset* train,
               const Dataset* test, BatchSampler sampler, std::unique_ptr<TrainingSession> session,
               EvaluationChannel* evaluation);

  // Trains until the run is finished, `steps` are done or `stop` is set, then leaves the
  // run. Fails when a push is rejected or the session is lost for good. An evaluation that fails
  // while training goes on is logged; the one at the end must succeed. Call it once.
  absl::StatusOr<TrainingSummary> Run();

 private:
  bool stopping() const { return options_.stop != nullptr && options_.stop->load(); }
  void Log(const std::string& line) const;

  absl::Status Train();
  // Takes up what became of a push, and the parameters after it. False: training is over.
  absl::StatusOr<bool> Answered(const absl::StatusOr<PushReport>& report, int64_t* base_step);
  bool SequenceIsDue(int64_t sequence) const;
  // Where the run has a data set: whether there is a batch that is not pushed, which `waits` asks
  // for. False: there are no more, or training is to stop, or none is there now.
  absl::StatusOr<bool> HasBatch(bool waits);
  // Takes the present parameters, where HasBatch() has waited for so long that those which are
  // there may be old.
  absl::Status Refresh(int64_t* base_step);
  // Gathers the first part of the mini-batch of `sequence`, unless it is there already.
  void Prefetch(int64_t sequence);
  // Gradient of the mini-batch of `sequence` at `parameters`; returns the mean loss.
  double Gradient(int64_t sequence, absl::Span<const float> parameters, absl::Span<float> gradient);
  // The report, or none if `stop` was set and it did not come in time.
  std::optional<absl::StatusOr<PushReport>> Wait(
      std::future<absl::StatusOr<PushReport>> report) const;
  void Delay() const;
  bool EvaluationIsDue() const;
  absl::Status Evaluate();

  const TrainingLoopOptions options_;
  Model<float>* const model_;
  const Dataset* const train_;
  const Dataset* const test_;
  EvaluationChannel* const evaluation_;
  BatchSampler sampler_;

  TrainingSummary summary_;
  int64_t gathered_ = 0;                // Sequence whose first part is in batch_; 0: none.
  absl::Span<const uint32_t> indices_;  // Of that sequence.
  std::optional<int64_t> leased_;       // The batch that the server gave, and that is not pushed.
  std::vector<uint32_t> leased_indices_;
  bool waited_ = false;          // For that one, for longer than a pull is worth.
  int64_t evaluated_step_ = -1;  // Of the last evaluation; -1: none.
  Batch batch_;
  Batch test_batch_;
  std::vector<float> test_parameters_;
  // Where the session has no vectors of its own.
  std::vector<float> own_parameters_;
  std::vector<float> own_gradient_;
  // With prefetch: what a gradient is computed from and in, while the others are in flight.
  std::vector<float> held_parameters_;
  std::vector<float> next_gradient_;
  int64_t held_step_ = 0;  // Of held_parameters_.
  uint64_t held_timeline_ = 0;

  // Last, so first destroyed: a push in flight uses the vectors.
  std::unique_ptr<TrainingSession> session_;
  const absl::Span<float> gradient_;
  const absl::Span<const float> parameters_;
  const std::optional<DataSet> data_;  // Of the run.
};

}  // namespace gradd

#endif  // GRADD_WORKER_TRAINING_LOOP_H_
