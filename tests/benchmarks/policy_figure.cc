// How many steps a second workers make of which one takes four times as long as the others: they
// sleep where a worker would compute, so that the policy is what is measured.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "client/session.h"
#include "core/base/clock.h"
#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/server_process.h"
#include "tests/benchmarks/step_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr int kFast = 4;
constexpr absl::Duration kCompute = absl::Milliseconds(20);
constexpr int kSlower = 4;

// Trains until `stops`; counts the steps that it sees go by.
void Train(SessionOptions options, absl::Duration compute, const std::atomic<bool>& stops,
           std::atomic<int64_t>* step) {
  const auto session = Must(Session::Open(std::move(options)));
  const std::vector<float> gradient = Gradient(kSmallElements);
  std::vector<float> parameters(gradient.size());
  for (int64_t base = 0; !stops;) {
    absl::SleepFor(compute);
    const PushReport report =
        Must(session->Push({base, 1, 0}, gradient, absl::MakeSpan(parameters)).get());
    base = report.step;
    *step = base;
  }
  if (!session->Leave().ok()) Fail("a worker could not leave");
}

// Of `kFast` workers, and of a slower one where there is one.
double StepsPerSecond(const GraddProcess& server, const std::string& run, bool with_slow,
                      absl::Duration time) {
  std::atomic<bool> stops{false};
  std::atomic<int64_t> step{0};
  std::atomic<int64_t> ignored{0};
  std::vector<std::thread> threads;
  const int workers = kFast + (with_slow ? 1 : 0);
  for (int worker = 0; worker < workers; ++worker) {
    const absl::Duration compute = worker < kFast ? kCompute : kSlower * kCompute;
    threads.emplace_back(Train, WorkerOptions(server, run, "w" + std::to_string(worker)), compute,
                         std::cref(stops), worker == 0 ? &step : &ignored);
  }
  while (step < 5) absl::SleepFor(absl::Milliseconds(1));  // All are there, and warm.
  const int64_t first = step;
  const absl::Duration begin = Clock::Real()->Elapsed();
  absl::SleepFor(time);
  const auto made = static_cast<double>(step - first);
  const double seconds = absl::ToDoubleSeconds(Clock::Real()->Elapsed() - begin);
  stops = true;
  for (std::thread& thread : threads) thread.join();
  return made / seconds;
}

}  // namespace

void MeasurePolicies(const Settings& settings) {
  const absl::Duration time = absl::Seconds(settings.quick ? 2 : 6);
  GraddProcess server(settings.gradd);
  v1::Run alone = SynchronousSpec(kSmallElements, kFast);
  v1::Run all = SynchronousSpec(kSmallElements, kFast + 1);
  v1::Run quorum = all;
  quorum.mutable_policy()->mutable_synchronous()->set_quorum(kFast);
  server.CreateRun("alone", alone);
  server.CreateRun("all", all);
  server.CreateRun("quorum", quorum);
  const double of_four = StepsPerSecond(server, "alone", /*with_slow=*/false, time);
  const double of_all = StepsPerSecond(server, "all", /*with_slow=*/true, time);
  const double of_quorum = StepsPerSecond(server, "quorum", /*with_slow=*/true, time);
  Print("four_workers_per_second", of_four, "steps/s");
  Print("slow_worker_over_four_alone", of_all / of_four, "x");
  Print("quorum_over_four_alone", of_quorum / of_four, "x");
}

}  // namespace gradd
