#ifndef GRADD_WORKER_OPTIONS_H_
#define GRADD_WORKER_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "client/push_encoding.h"
#include "gradd/v1/training_service.pb.h"
#include "worker/data/load.h"
#include "worker/models/model_factory.h"

namespace gradd {

// gradworker's command line; `gradworker --help` explains the flags of the same names.
struct WorkerOptions {
  // Who evaluates the test set.
  enum class Evaluate { kRankZero, kYes, kNo };

  std::string server = "127.0.0.1:50051";
  std::string run;
  std::string worker;  // Never empty after parsing.
  int64_t rank = 0;
  int64_t workers = 1;
  bool has_rank = false;    // --rank or --workers was given.
  bool has_worker = false;  // --worker was given.
  bool has_batch = false;   // --batch was given.
  ModelOptions model;
  DataOptions data;
  PushEncoding push_encoding;  // `seed` is set by the worker's seed and rank.
  v1::Encoding parameter_encoding = v1::ENCODING_FLOAT32;
  int64_t batch = 64;  // 0: full.
  int64_t steps = 0;
  uint64_t seed = 0;
  int threads = 1;
  int64_t eval_every = 200;
  Evaluate evaluate = Evaluate::kRankZero;
  absl::Duration delay;
  bool shared_memory = true;
  bool prefetch = false;
  absl::Duration give_up_after = absl::Minutes(5);
  bool print_layout = false;

  bool evaluates() const {
    return evaluate == Evaluate::kYes || (evaluate == Evaluate::kRankZero && rank == 0);
  }
};

// Fills `options` from the command line, the --config file and GRADD_* environment
// variables; what comes first in this list counts. Returns the exit code where the program ends
// here: 0 after
// --help or --version, 2 after an error, which it has printed.
std::optional<int> ParseWorkerOptions(int argc, const char* const* argv, WorkerOptions* options);

}  // namespace gradd

#endif  // GRADD_WORKER_OPTIONS_H_
