// One step with the C++ client over a real server, against the same bytes on a plain stream.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/machine.h"
#include "tests/benchmarks/reference.h"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/step_worker.h"
#include "tests/support/allocation_watch.h"

namespace gradd {
namespace {

// Of steps in a steady state: everything has been stepping for a while, and what a pool has at the
// most, which the timing of threads decides, it has had. One that grows for the last time in a
// round gets another round; what is taken in every step, is taken in all of them.
void CountAllocations(const GraddProcess& server,
                      const std::vector<std::unique_ptr<StepWorker>>& workers) {
  constexpr int kRounds = 4;
  constexpr int kSteps = 5;
  // Smaller than any payload of a large model, larger than what else is allocated on the way.
  constexpr size_t kPayloadBytes = size_t{64} * 1024;
  int64_t taken = 1;
  for (int round = 0; round < kRounds && taken > 0; ++round) {
    const int64_t before = server.BlockAllocations();
    const AllocationWatch watch(kPayloadBytes);
    for (const auto& worker : workers) {
      for (int i = 0; i < kSteps; ++i) worker->Step();
    }
    taken = server.BlockAllocations() - before + AllocationWatch::count();
  }
  Print("block_allocations_per_step",
        static_cast<double>(taken) / static_cast<double>(kSteps * workers.size()), "blocks");
}

}  // namespace

void MeasureSteps(const Settings& settings) {
  const ServerProcess reference({settings.reference, "--serve"});
  GraddProcess server(settings.gradd);
  const std::vector<float> gradient = Gradient(kLargeElements);
  PlainStream stream(reference.address("grpc"));
  RawTcp tcp(reference.address("tcp"));

  MemorySweep sweep;
  std::vector<std::string> names = {"stream", "raw_tcp", "sweep"};
  std::vector<std::function<void()>> tasks = {[&] { stream.Exchange(kLargeElements, gradient); },
                                              [&] { tcp.Exchange(gradient); },
                                              [&] { sweep.Run(); }};
  std::vector<std::unique_ptr<StepWorker>> workers;
  for (const StepVariant& variant : StepVariants()) {
    server.CreateRun(variant.run(), kLargeElements, 1);
    SessionOptions options = WorkerOptions(server, variant.run(), "w");
    variant.set(&options);
    workers.push_back(std::make_unique<StepWorker>(std::move(options), gradient));
    names.emplace_back(variant.name);
    tasks.emplace_back([worker = workers.back().get()] { worker->Step(); });
  }
  const std::vector<double> seconds = MedianSeconds(settings.rounds(), tasks);
  std::map<std::string, double> by_name;
  for (size_t i = 0; i < names.size(); ++i) {
    by_name[names[i]] = seconds[i];
    Print(absl::StrCat(names[i], "_ms"), seconds[i] * 1e3, "ms");
  }
  for (const StepVariant& variant : StepVariants()) {
    if (variant.figure == nullptr) continue;
    Print(variant.figure, by_name[variant.name] / by_name[variant.reference], "x");
  }
  // What no server can do without: the bytes through a socket, and through memory those of Adam and
  // of the worker's conversions.
  constexpr double kAdamBytesPerElement = 28;
  const auto memory_seconds = [&](double bytes_per_element) {
    return by_name["sweep"] * bytes_per_element / MemorySweep::kBytesPerElement;
  };
  for (const StepVariant& variant : StepVariants()) {
    constexpr double kFloatBytes = sizeof(float);
    const double wire = variant.push_bytes + variant.parameter_bytes;
    if (wire == 0) continue;
    const double converted = wire < 2 * kFloatBytes ? 2 * kFloatBytes + wire : 0;
    const double least = by_name["raw_tcp"] * wire / (2 * kFloatBytes) +
                         memory_seconds(kAdamBytesPerElement + converted);
    Print(absl::StrCat(variant.name, "_over_raw"), by_name[variant.name] / least, "x");
  }
  Print("shm_step_over_sweep", by_name["shm_step"] / memory_seconds(kAdamBytesPerElement), "x");
  // From its first chunk to its last one, checked: without encoding, waiting and applying.
  const auto push_seconds = [&](const std::string& run) {
    const v1::StepProfile profile = server.Profile(run);
    return profile.receive_seconds() + profile.stage_seconds();
  };
  for (const StepVariant& variant : StepVariants()) {
    const v1::StepProfile profile = server.Profile(variant.run());
    Print(absl::StrCat(variant.name, "_receive_ms"), profile.receive_seconds() * 1e3, "ms");
    Print(absl::StrCat(variant.name, "_stage_ms"), profile.stage_seconds() * 1e3, "ms");
    Print(absl::StrCat(variant.name, "_apply_ms"), profile.apply_seconds() * 1e3, "ms");
    Print(absl::StrCat(variant.name, "_send_ms"), profile.send_seconds() * 1e3, "ms");
  }
  const double f32_push = push_seconds("tcp-step");
  const double topk_push = push_seconds("topk-step");
  Print("f32_push_ms", f32_push * 1e3, "ms");
  Print("topk_push_ms", topk_push * 1e3, "ms");
  Print("topk_push_over_f32_push", topk_push / f32_push, "x");
  CountAllocations(server, workers);
}

void MeasureFirstSharedStep(const Settings& settings) {
  const StepVariant* shared = nullptr;
  for (const StepVariant& variant : StepVariants()) {
    if (std::string(variant.name) == "shm_step") shared = &variant;
  }
  const std::vector<float> gradient = Gradient(kLargeElements);
  std::vector<double> firsts;
  std::vector<double> others;
  // Each run has regions of its own, whose pages nobody has had before.
  GraddProcess server(settings.gradd);
  constexpr int kRuns = 3;
  for (int i = 0; i < kRuns; ++i) {
    const std::string run = absl::StrCat("first-", i);
    server.CreateRun(run, kLargeElements, 1);
    SessionOptions options = WorkerOptions(server, run, "w");
    shared->set(&options);
    StepWorker worker(std::move(options), gradient);
    const Clock* const clock = Clock::Real();
    const absl::Duration begin = clock->Elapsed();
    worker.Step();
    firsts.push_back(absl::ToDoubleSeconds(clock->Elapsed() - begin));
    others.push_back(MedianSeconds(5, {[&] { worker.Step(); }})[0]);
  }
  Print("first_shm_step_ms", Median(firsts) * 1e3, "ms");
  Print("first_shm_step_over_shm_step", Median(firsts) / Median(others), "x");
}

void MeasureTwoWorkers(const Settings& settings) {
  GraddProcess server(settings.gradd);
  const std::vector<float> gradient = Gradient(kLargeElements);
  server.CreateRun("one", kLargeElements, 1);
  server.CreateRun("two", kLargeElements, 2);
  StepWorker alone(WorkerOptions(server, "one", "a"), gradient);
  StepWorker first(WorkerOptions(server, "two", "a"), gradient);
  StepWorker second(WorkerOptions(server, "two", "b"), gradient);
  const std::vector<double> seconds = MedianSeconds(settings.rounds(), {[&] { alone.Step(); },
                                                                        [&] {
                                                                          first.Begin();
                                                                          second.Begin();
                                                                          first.End();
                                                                          second.End();
                                                                        }});
  Print("one_worker_step_ms", seconds[0] * 1e3, "ms");
  Print("two_workers_step_ms", seconds[1] * 1e3, "ms");
  Print("two_workers_over_one", seconds[1] / seconds[0], "x");
}

void MeasureSmallStep(const Settings& settings) {
  constexpr int kBatch = 200;
  // Which threads share a core is decided when processes start, and is worth a factor of two.
  const int starts = settings.quick ? 3 : 9;
  const std::vector<float> gradient = Gradient(kSmallElements);
  std::vector<double> pingpongs;
  std::vector<double> steps;
  for (int i = 0; i < starts; ++i) {
    const ServerProcess reference({settings.reference, "--serve"});
    GraddProcess server(settings.gradd);
    server.CreateRun("small", kSmallElements, 1);
    PlainStream stream(reference.address("grpc"));
    StepWorker worker(WorkerOptions(server, "small", "w"), gradient);
    const std::vector<double> seconds =
        MedianSeconds(5, {[&] {
                            for (int k = 0; k < kBatch; ++k) {
                              stream.Exchange(kSmallElements, gradient);
                            }
                          },
                          [&] {
                            for (int k = 0; k < kBatch; ++k) worker.Step();
                          }});
    pingpongs.push_back(seconds[0] / kBatch);
    steps.push_back(seconds[1] / kBatch);
  }
  Print("pingpong_us", Median(pingpongs) * 1e6, "us");
  Print("small_step_us", Median(steps) * 1e6, "us");
  Print("small_step_over_pingpong", Median(steps) / Median(pingpongs), "x");
}

}  // namespace gradd
