#ifndef GRADD_CORE_RUN_FLOAT16_COUNTS_H_
#define GRADD_CORE_RUN_FLOAT16_COUNTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/run/run_log.h"

namespace gradd {

// How often float16 had not the range of a run's values; see the fields of these names in
// v1::RunProgress. Thread safe.
struct Float16Counts {
  std::atomic<int64_t> saturated_values{0};  // Of pushes, at the ends of the range.
  std::atomic<int64_t> widened_chunks{0};    // Of parameters, sent as float32 instead.
};

// The same for one worker. What it counts it counts for the run too, and the first of each kind
// goes into the log. Waits for nothing, so any lock may be held. Thread safe.
class WorkerFloat16 {
 public:
  // `log` may be null: then nobody is told. `clock` must outlive this.
  WorkerFloat16(std::string run_id, std::string worker, std::shared_ptr<Float16Counts> run,
                std::shared_ptr<RunLog> log, const Clock* clock);

  // A push of `values` such values is complete; of 0: nothing happens.
  void CountSaturated(int64_t values);
  // A chunk is sent as float32.
  void CountWidened();

  int64_t saturated_values() const { return worker_.saturated_values; }
  int64_t widened_chunks() const { return worker_.widened_chunks; }

 private:
  void Tell(const char* event, const char* taken_as);

  const std::string run_id_;
  const std::string worker_id_;
  const std::shared_ptr<Float16Counts> run_;
  const std::shared_ptr<RunLog> log_;
  const Clock* const clock_;
  Float16Counts worker_;
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_FLOAT16_COUNTS_H_
