// Steps as the server applies them, in this process, against an in-place sweep on the same blocks.

#include <algorithm>
#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/run/run_registry.h"
#include "tests/benchmarks/figure.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr double kSweepBytes = 12;  // Per element: p and g are read, p is written.

struct Rule {
  const char* name;
  double bytes;  // Per element.
  void (*set)(v1::Optimizer* optimizer);
};

constexpr Rule kRules[] = {
    // p, m, v and g are read, p, m and v written.
    {"adam", 28, [](v1::Optimizer* optimizer) { optimizer->mutable_adam(); }},
    {"sgd", kSweepBytes, [](v1::Optimizer* optimizer) { optimizer->mutable_sgd(); }},
};

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

void MeasureRule(const Settings& settings, const Rule& rule) {
  RunRegistry registry(Limits(), static_cast<int>(std::thread::hardware_concurrency()));
  v1::Run spec = SynchronousSpec(kLargeElements, 1);
  rule.set(spec.mutable_optimizer());
  spec.mutable_schedule()->set_learning_rate(1e-3);
  const std::shared_ptr<Run> run = Must(registry.Create("update", spec, ""));
  FakeWorker worker(&registry, "update", "w");
  worker.Join();
  const auto gradient = std::make_shared<std::vector<float>>(kLargeElements, 1e-3f);
  std::vector<double> steps;
  std::vector<double> sweep;
  const int warm_up = 2;
  for (int64_t step = 0; step < warm_up + 2 * settings.rounds(); ++step) {
    const double before = run->ReadMetrics().apply_seconds.sum();
    Push(&worker, step, gradient);
    const double after = run->ReadMetrics().apply_seconds.sum();
    const double swept = Sweep(&registry, run.get(), *gradient);
    if (step < warm_up) continue;
    steps.push_back(after - before);
    sweep.push_back(swept);
  }
  const double rate = kLargeElements * rule.bytes / Median(steps);
  const double sweep_rate = kLargeElements * kSweepBytes / Median(sweep);
  Print(absl::StrCat(rule.name, "_gb_per_second"), rate / 1e9, "GB/s");
  Print(absl::StrCat(rule.name, "_sweep_gb_per_second"), sweep_rate / 1e9, "GB/s");
  Print(absl::StrCat(rule.name, "_over_sweep"), rate / sweep_rate, "x");
}

}  // namespace

void MeasureUpdate(const Settings& settings) {
  for (const Rule& rule : kRules) MeasureRule(settings, rule);
}

}  // namespace gradd
