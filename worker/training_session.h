#ifndef GRADD_WORKER_TRAINING_SESSION_H_
#define GRADD_WORKER_TRAINING_SESSION_H_

#include <cstdint>
#include <future>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "client/session.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// What the training loop needs of a Session (client/session.h); each method is as there.
class TrainingSession {
 public:
  virtual ~TrainingSession() = default;

  // Vectors of the session's own, where it has any: they are then used in place of those that
  // Push() and Pull() take, which are empty.
  virtual absl::Span<float> gradient() const { return {}; }
  virtual absl::Span<const float> parameters() const { return {}; }

  virtual std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                                       absl::Span<const float> gradient,
                                                       absl::Span<float> parameters) = 0;
  virtual absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) = 0;
  // Where the run has a data set; otherwise null, and nobody gets batches.
  virtual const v1::DataSet* data_set() const { return nullptr; }
  virtual absl::StatusOr<std::vector<int64_t>> NextBatches(int64_t /*count*/,
                                                           absl::Duration /*patience*/) {
    return std::vector<int64_t>();
  }
  virtual absl::Status Leave() = 0;
  virtual int64_t next_sequence() const = 0;
  virtual bool finished() const = 0;
  virtual uint64_t timeline() const = 0;
};

// Where evaluations get their parameters from and go to.
class EvaluationChannel {
 public:
  virtual ~EvaluationChannel() = default;

  // Reads the parameters at which the model is best and returns their step.
  virtual absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) = 0;
  // Records a measurement.
  virtual absl::Status Report(const v1::Evaluation& evaluation) = 0;
};

}  // namespace gradd

#endif  // GRADD_WORKER_TRAINING_SESSION_H_
