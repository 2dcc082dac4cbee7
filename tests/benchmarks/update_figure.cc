// Adam as the server applies it, in this process, against an in-place sweep on the same blocks.

#include <algorithm>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/run/run_registry.h"
#include "tests/benchmarks/figure.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr double kAdamBytes = 28;   // Per element: p, m, v and g are read, p, m and v written.
constexpr double kSweepBytes = 12;  // p and g are read, p is written.

// A push whose chunks all lie in `gradient`.
void Push(FakeWorker* worker, int64_t step, const std::shared_ptr<std::vector<float>>& gradient) {
  for (int64_t at = 0; at < kLargeElements; at += kBlockElements) {
    const int64_t count = std::min(kBlockElements, kLargeElements - at);
    v1::TrainRequest request;
    v1::Push& push = *request.mutable_push();
    if (at == 0) {
      push.mutable_header()->set_sequence(step + 1);
      push.mutable_header()->set_base_step(step);
      push.mutable_header()->set_examples(1);
    }
    push.mutable_chunk()->set_offset(at);
    if (at + count == kLargeElements) push.mutable_commit();
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(gradient->data() + at),
                               static_cast<size_t>(count) * sizeof(float));
    worker->Request(std::move(request), Payload({slice}, gradient));
  }
  worker->WaitForResult(static_cast<size_t>(step));
}

// Seconds of p -= lr * g over the run's own blocks, on the threads that apply its steps.
double Sweep(RunRegistry* registry, Run* run, const std::vector<float>& gradient) {
  const auto seconds = std::make_shared<std::promise<double>>();
  registry->pool()->Schedule([&, seconds] {
    std::shared_ptr<const Snapshot> blocks;
    run->RequestSnapshot(SnapshotContents::kEvaluation,
                         [&](std::shared_ptr<const Snapshot> snapshot) { blocks = snapshot; });
    const Clock* const clock = Clock::Real();
    const absl::Duration begin = clock->Elapsed();
    registry->pool()->ParallelFor(
        static_cast<int64_t>(blocks->parameters.size()), [&](int64_t block) {
          const BlockRef& parameters = blocks->parameters[static_cast<size_t>(block)];
          float* const p = parameters.data();
          const float* const g = gradient.data() + block * kBlockElements;
          for (int64_t i = 0; i < parameters.elements(); ++i) p[i] -= 0.01f * g[i];
        });
    const double elapsed = absl::ToDoubleSeconds(clock->Elapsed() - begin);
    blocks.reset();  // Or the next step would not be in place.
    seconds->set_value(elapsed);
  });
  return seconds->get_future().get();
}

}  // namespace

void MeasureUpdate(const Settings& settings) {
  RunRegistry registry(Limits(), static_cast<int>(std::thread::hardware_concurrency()));
  v1::Run spec = SynchronousSpec(kLargeElements, 1);
  spec.mutable_optimizer()->mutable_adam();
  spec.mutable_schedule()->set_learning_rate(1e-3);
  const std::shared_ptr<Run> run = Must(registry.Create("update", spec, ""));
  FakeWorker worker(&registry, "update", "w");
  worker.Join();
  const auto gradient = std::make_shared<std::vector<float>>(kLargeElements, 1e-3f);
  std::vector<double> adam;
  std::vector<double> sweep;
  const int warm_up = 2;
  for (int64_t step = 0; step < warm_up + 2 * settings.rounds(); ++step) {
    const double before = run->ReadMetrics().apply_seconds.sum();
    Push(&worker, step, gradient);
    const double after = run->ReadMetrics().apply_seconds.sum();
    const double swept = Sweep(&registry, run.get(), *gradient);
    if (step < warm_up) continue;
    adam.push_back(after - before);
    sweep.push_back(swept);
  }
  const double adam_rate = kLargeElements * kAdamBytes / Median(adam);
  const double sweep_rate = kLargeElements * kSweepBytes / Median(sweep);
  Print("adam_gb_per_second", adam_rate / 1e9, "GB/s");
  Print("sweep_gb_per_second", sweep_rate / 1e9, "GB/s");
  Print("adam_over_sweep", adam_rate / sweep_rate, "x");
}

}  // namespace gradd
