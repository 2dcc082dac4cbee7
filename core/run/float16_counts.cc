#include "core/run/float16_counts.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace gradd {

WorkerFloat16::WorkerFloat16(std::string run_id, std::string worker,
                             std::shared_ptr<Float16Counts> run, std::shared_ptr<RunLog> log,
                             const Clock* clock)
    : run_id_(std::move(run_id)),
      worker_id_(std::move(worker)),
      run_(std::move(run)),
      log_(std::move(log)),
      clock_(clock) {}

void WorkerFloat16::CountSaturated(int64_t values) {
  if (values == 0) return;
  run_->saturated_values += values;
  if (worker_.saturated_values.fetch_add(values) > 0) return;
  Tell("push beyond float16", "65504 or -65504");
}

void WorkerFloat16::CountWidened() {
  ++run_->widened_chunks;
  if (worker_.widened_chunks.fetch_add(1) > 0) return;
  Tell("parameters beyond float16", "float32");
}

void WorkerFloat16::Tell(const char* event, const char* taken_as) {
  if (log_ == nullptr) return;
  // A run may have thousands of workers, all with the same values.
  log_->AddLimited(absl::StrCat(event, " ", run_id_), clock_->Elapsed(),
                   {LogEntry::Level::kWarning,
                    event,
                    {{"run", run_id_},
                     {"worker", worker_id_},
                     {"taken_as", taken_as},
                     {"hint", "bfloat16 has the range; gradctl show counts, this is told once"}}});
}

}  // namespace gradd
