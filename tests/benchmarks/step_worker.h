#ifndef GRADD_TESTS_BENCHMARKS_STEP_WORKER_H_
#define GRADD_TESTS_BENCHMARKS_STEP_WORKER_H_

#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/session.h"
#include "tests/benchmarks/server_process.h"

namespace gradd {

// One way to make a step.
struct StepVariant {
  const char* name;       // Its time is printed as `{name}_ms`,
  const char* figure;     // and over that of `reference`, which stands above it or is the plain
  const char* reference;  // stream, as this one; null if it is only a reference itself.
  void (*set)(SessionOptions* options);
  // Bytes of an element on the wire, for `{name}_over_raw`; 0 where it does not travel so.
  double push_bytes = 0;
  double parameter_bytes = 0;

  // The name of its run.
  std::string run() const;
};

// All of them.
absl::Span<const StepVariant> StepVariants();

// Noise: what is compressed must be no better than a real gradient.
std::vector<float> Gradient(int64_t elements);

SessionOptions WorkerOptions(const GraddProcess& server, const std::string& run,
                             const std::string& worker);

// A worker that pushes the same gradient in every step, and looks at every page of the parameters.
class StepWorker {
 public:
  // `gradient` must outlive it.
  StepWorker(SessionOptions options, absl::Span<const float> gradient);

  // Pushes; End() waits until the new parameters are there.
  void Begin();
  void End();
  void Step() {
    Begin();
    End();
  }

  // Gets the parameters outside of a step.
  void Pull();

 private:
  const std::unique_ptr<Session> session_;
  const absl::Span<const float> gradient_;
  std::vector<float> parameters_;
  float read_ = 0;
  std::future<absl::StatusOr<PushReport>> report_;
  int64_t base_ = 0;
};

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_STEP_WORKER_H_
