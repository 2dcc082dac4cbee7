#ifndef GRADD_WORKER_RUN_TRAINER_H_
#define GRADD_WORKER_RUN_TRAINER_H_

#include <atomic>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "gradd/v1/data.pb.h"
#include "worker/data/load.h"
#include "worker/options.h"
#include "worker/training_loop.h"

namespace gradd {

// The reason of an error that is one of the command line.
inline constexpr char kUsageReason[] = "USAGE";
// An error of the command line that only shows once the data is there.
absl::Status UsageError(const absl::Status& status);

// Trains runs of one worker's model on its share of the data. Thread safe: several runs may be
// trained at a time.
class RunTrainer {
 public:
  // All outlive it. `log` gets one line at a time, from any thread.
  RunTrainer(const WorkerOptions* options, const TrainAndTest* data, ThreadPool* pool,
             std::function<void(const std::string& line)> log)
      : options_(*options), data_(*data), pool_(pool), log_(std::move(log)) {}

  // What belongs to one run.
  struct Job {
    std::string run;
    int64_t steps = 0;  // As in TrainingLoopOptions.
    bool evaluates = false;
    const std::atomic<bool>* stop = nullptr;  // Not null.
    std::function<void()> on_join;            // Called when the worker has joined. May be null.
    std::function<void(const std::string& run)> on_trial;  // See SessionOptions.
  };
  // Joins the run and trains it to its end. Errors of the reason kUsageReason are the command
  // line's.
  absl::StatusOr<TrainingSummary> Train(const Job& job) const;

  // OK if this worker can train a run with that data set; else what is wrong with the command line.
  static absl::Status CheckDataSet(const v1::DataSet& data_set, const WorkerOptions& options,
                                   int64_t examples);

 private:
  // In a run with a data set: its own, or one that no other process has.
  std::string WorkerId() const;

  const WorkerOptions& options_;
  const TrainAndTest& data_;
  ThreadPool* const pool_;
  // A run of this worker has a data set, so that there are no ranks.
  mutable std::atomic<int64_t> elastic_batch_{0};
  const std::function<void(const std::string& line)> log_;
};

}  // namespace gradd

#endif  // GRADD_WORKER_RUN_TRAINER_H_
