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

// Of so many workers that compute as fast, and so many slower ones.
double StepsPerSecond(const GraddProcess& server, const std::string& run, int fast, int slow,
                      absl::Duration time) {
  std::atomic<bool> stops{false};
  std::atomic<int64_t> step{0};
  std::atomic<int64_t> ignored{0};
  std::vector<std::thread> threads;
  for (int worker = 0; worker < fast + slow; ++worker) {
    const absl::Duration compute = worker < fast ? kCompute : kSlower * kCompute;
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
  const v1::Run asynchronous = AsynchronousSpec(kSmallElements);
  v1::Run bounded = asynchronous;
  // Not reached while it is measured: what it costs until then is.
  bounded.mutable_policy()->mutable_bounded_staleness()->set_bound(100'000);
  v1::Run tight = asynchronous;
  tight.mutable_policy()->mutable_bounded_staleness()->set_bound(2);
  server.CreateRun("one-fast", asynchronous);
  server.CreateRun("one-slow", asynchronous);
  server.CreateRun("asynchronous", asynchronous);
  server.CreateRun("bounded", bounded);
  server.CreateRun("tight", tight);
  const double of_four = StepsPerSecond(server, "alone", kFast, /*slow=*/0, time);
  const double of_all = StepsPerSecond(server, "all", kFast, /*slow=*/1, time);
  const double of_quorum = StepsPerSecond(server, "quorum", kFast, /*slow=*/1, time);
  const double sum = kFast * StepsPerSecond(server, "one-fast", 1, /*slow=*/0, time) +
                     StepsPerSecond(server, "one-slow", 0, /*slow=*/1, time);
  const double of_asynchronous = StepsPerSecond(server, "asynchronous", kFast, /*slow=*/1, time);
  const double of_bounded = StepsPerSecond(server, "bounded", kFast, /*slow=*/1, time);
  const double of_tight = StepsPerSecond(server, "tight", kFast, /*slow=*/1, time);
  Print("four_workers_per_second", of_four, "steps/s");
  Print("slow_worker_over_four_alone", of_all / of_four, "x");
  Print("quorum_over_four_alone", of_quorum / of_four, "x");
  Print("sum_of_workers_per_second", sum, "steps/s");
  Print("asynchronous_over_sum", of_asynchronous / sum, "x");
  Print("bounded_over_sum", of_bounded / sum, "x");
  Print("bound_of_2_over_sum", of_tight / sum, "x");
}

}  // namespace gradd
