// What a step takes from the kernel in steady state, at the server and at the client: pages touched
// for the first time, and for reading CPU time and waits.

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/process_usage.h"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/step_worker.h"

namespace gradd {
namespace {

// Pages per step. A heap still grows now and then, where the scheduler made a reader late as never
// before, and then stays so large: a fifth of the steps, those with most, is left out.
double Typical(std::vector<double> pages) {
  std::sort(pages.begin(), pages.end());
  pages.resize(pages.size() - pages.size() / 5);
  double sum = 0;
  for (const double count : pages) sum += count;
  return sum / static_cast<double>(pages.size());
}

// One side of a connection, step by step.
class Side {
 public:
  Side(const char* name, pid_t process) : name_(name), process_(process) {}

  void BeginStep() {
    before_ = UsageOf(process_);
    if (pages_.empty()) first_ = before_;
  }
  void EndStep() { pages_.push_back(UsageOf(process_).page_faults - before_.page_faults); }

  // Prints what a step took; returns its pages.
  double Report(const std::string& step) const {
    const ProcessUsage last = UsageOf(process_);
    const auto steps = static_cast<double>(pages_.size());
    const std::string prefix = absl::StrCat(step, "_", name_);
    Print(prefix + "_page_faults", Typical(pages_), "pages");
    Print(prefix + "_cpu_ms", (last.cpu_seconds - first_.cpu_seconds) / steps * 1e3, "ms");
    Print(prefix + "_waits", (last.waits - first_.waits) / steps, "waits");
    return Typical(pages_);
  }

 private:
  const char* const name_;
  const pid_t process_;
  ProcessUsage first_;
  ProcessUsage before_;
  std::vector<double> pages_;
};

class StepCounts {
 public:
  explicit StepCounts(const Settings& settings)
      : settings_(settings), gradient_(Gradient(kLargeElements)) {}

  const std::vector<float>& gradient() const { return gradient_; }
  const std::string& program() const { return settings_.gradd; }

  // Counts what `step` takes once it has run for a while. Prints it under `name`.
  void Count(const std::string& name, const GraddProcess& server,
             const std::function<void()>& step) {
    constexpr int kWarmUp = 40;
    const int steps = settings_.quick ? 15 : 60;
    for (int i = 0; i < kWarmUp; ++i) step();
    Side at_server("server", server.process().id());
    Side at_client("client", getpid());
    for (int i = 0; i < steps; ++i) {
      at_server.BeginStep();
      at_client.BeginStep();
      step();
      at_server.EndStep();
      at_client.EndStep();
    }
    most_at_server_ = std::max(most_at_server_, at_server.Report(name));
    most_at_client_ = std::max(most_at_client_, at_client.Report(name));
  }

  void PrintMost() const {
    Print("server_page_faults_per_step", most_at_server_, "pages");
    Print("client_page_faults_per_step", most_at_client_, "pages");
  }

 private:
  const Settings settings_;
  const std::vector<float> gradient_;
  double most_at_server_ = 0;
  double most_at_client_ = 0;
};

void CountVariant(const StepVariant& variant, StepCounts* counts) {
  GraddProcess server(counts->program());
  server.CreateRun(variant.run(), kLargeElements, 1);
  SessionOptions options = WorkerOptions(server, variant.run(), "w");
  variant.set(&options);
  StepWorker worker(std::move(options), counts->gradient());
  counts->Count(variant.name, server, [&] { worker.Step(); });
}

void CountTwoWorkers(StepCounts* counts) {
  GraddProcess server(counts->program());
  server.CreateRun("two", kLargeElements, 2);
  StepWorker first(WorkerOptions(server, "two", "a"), counts->gradient());
  StepWorker second(WorkerOptions(server, "two", "b"), counts->gradient());
  counts->Count("two_workers_step", server, [&] {
    first.Begin();
    second.Begin();
    first.End();
    second.End();
  });
}

// Every pull is of a version of its own.
void CountPulls(StepCounts* counts) {
  GraddProcess server(counts->program());
  server.CreateRun("pull", kLargeElements, 1);
  StepWorker worker(WorkerOptions(server, "pull", "w"), counts->gradient());
  counts->Count("step_and_pull", server, [&] {
    worker.Step();
    worker.Pull();
  });
}

}  // namespace

void MeasurePageFaults(const Settings& settings) {
  StepCounts counts(settings);
  for (const StepVariant& variant : StepVariants()) CountVariant(variant, &counts);
  CountTwoWorkers(&counts);
  CountPulls(&counts);
  counts.PrintMost();
}

}  // namespace gradd
