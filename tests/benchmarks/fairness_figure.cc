// Steps of one run while another one, two hundred times as large, is made beside it.

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "core/run/run_registry.h"
#include "tests/benchmarks/figure.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int64_t kElements = 1'000'000;

class Stepper {
 public:
  Stepper(RunRegistry* registry, const std::string& run_id) : worker_(registry, run_id, "w") {
    worker_.Join();
  }
  // Seconds from the push to its result.
  double Step() {
    const absl::Duration begin = Clock::Real()->Elapsed();
    worker_.Push(step_ + 1, step_, gradient_);
    worker_.WaitForResult(static_cast<size_t>(step_));
    ++step_;
    return absl::ToDoubleSeconds(Clock::Real()->Elapsed() - begin);
  }

 private:
  FakeWorker worker_;
  int64_t step_ = 0;
  const std::vector<float> gradient_ = std::vector<float>(kElements, 1e-3F);
};

}  // namespace

void MeasureFairness(const Settings& settings) {
  RunRegistry registry(Limits(), static_cast<int>(std::thread::hardware_concurrency()));
  Must(registry.Create("small", SynchronousSpec(kElements, 1), ""));
  Stepper stepper(&registry, "small");
  std::vector<double> alone;
  for (int i = 0; i < 10 * settings.rounds(); ++i) alone.push_back(stepper.Step());
  std::vector<double> beside;
  double creation = 0;
  std::atomic<bool> created = false;
  const absl::Duration begin = Clock::Real()->Elapsed();
  registry.pool()->Schedule([&] {
    const int64_t times = settings.quick ? 50 : 200;
    Must(registry.Create("large", SynchronousSpec(times * kElements, 1), ""));
    creation = absl::ToDoubleSeconds(Clock::Real()->Elapsed() - begin);
    created = true;
  });
  while (!created) beside.push_back(stepper.Step());
  Print("step_alone_ms", 1e3 * Median(alone), "ms");
  Print("longest_step_alone_ms", 1e3 * *std::max_element(alone.begin(), alone.end()), "ms");
  Print("creation_beside_ms", 1e3 * creation, "ms");
  Print("step_beside_creation_ms", 1e3 * Median(beside), "ms");
  Print("longest_step_beside_creation_ms", 1e3 * *std::max_element(beside.begin(), beside.end()),
        "ms");
  Print("longest_step_over_creation", *std::max_element(beside.begin(), beside.end()) / creation,
        "");
}

}  // namespace gradd
