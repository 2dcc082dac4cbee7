// Steps of a small run beside everything large that could stop it: a change of a large run's
// optimizer, a paused run that holds room for its pushes, one whose step waits for that room, and
// one of which a worker has begun a push and sends nothing of it.

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/run/run_registry.h"
#include "tests/benchmarks/figure.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"
#include "tests/support/update.h"

namespace gradd {
namespace {

constexpr int kWorkers = 8;

// A worker of a large run that begins a push.
class Beginner {
 public:
  Beginner(RunRegistry* registry, const std::string& run, const std::string& worker)
      : worker_(registry, run, worker) {
    worker_.Join();
    v1::TrainRequest request;
    v1::Push& push = *request.mutable_push();
    push.mutable_header()->set_sequence(1);
    push.mutable_header()->set_examples(1);
    push.mutable_chunk();
    const auto values = std::make_shared<std::vector<float>>(kSmallElements);
    const Payload::Slice slice(reinterpret_cast<const std::byte*>(values->data()),
                               values->size() * sizeof(float));
    worker_.Request(std::move(request), Payload({slice}, values));
  }

 private:
  FakeWorker worker_;
};

// Does what the server does ten times a second.
class Ticker {
 public:
  explicit Ticker(RunRegistry* registry)
      : thread_([this, registry] {
          while (!stops_) {
            registry->Tick();
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
          }
        }) {}
  ~Ticker() {
    stops_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

// Looks at a run all the time, as somebody who watches it.
class Onlooker {
 public:
  explicit Onlooker(const gradd::Run& run)
      : thread_([this, &run] {
          while (!stops_) {
            const absl::Duration begin = Clock::Real()->Elapsed();
            run.Progress();
            longest_ = std::max(longest_, Clock::Real()->Elapsed() - begin);
            std::this_thread::sleep_for(std::chrono::microseconds(100));
          }
        }) {}
  // How long a look took at most.
  absl::Duration Stop() {
    stops_ = true;
    thread_.join();
    return longest_;
  }

 private:
  std::atomic<bool> stops_ = false;
  absl::Duration longest_;  // Written by the thread until it ends.
  std::thread thread_;
};

std::vector<double> Steps(FakeWorker* worker, int64_t* step, const std::function<bool()>& enough) {
  const std::vector<float> gradient(kSmallElements, 1e-3F);
  std::vector<double> seconds;
  while (!enough()) {
    const absl::Duration begin = Clock::Real()->Elapsed();
    worker->Push(*step + 1, *step, gradient);
    worker->WaitForResult(static_cast<size_t>(*step));
    seconds.push_back(absl::ToDoubleSeconds(Clock::Real()->Elapsed() - begin));
    ++*step;
  }
  return seconds;
}

}  // namespace

void MeasureBeside(const Settings& settings) {
  const int64_t changed = (settings.quick ? 50 : 200) * int64_t{1'000'000};
  Limits limits;
  limits.max_staged_bytes = kWorkers * kLargeElements * static_cast<int64_t>(sizeof(float));
  RunRegistry registry(limits, static_cast<int>(std::thread::hardware_concurrency()));
  const Ticker ticker(&registry);
  Must(registry.Create("small", SynchronousSpec(kSmallElements, 1), ""));
  FakeWorker worker(&registry, "small", "w");
  worker.Join();
  int64_t step = 0;
  const auto count = [&step](int64_t most) { return [&step, most] { return step >= most; }; };
  constexpr int64_t kSteps = 20'000;
  std::vector<double> alone = Steps(&worker, &step, count(kSteps));

  std::vector<std::unique_ptr<Beginner>> beginners;
  for (const std::string run : {"paused", "stalled", "waits"}) {
    const auto large = Must(registry.Create(run, SynchronousSpec(kLargeElements, kWorkers), ""));
    for (int w = 0; w < (run == "stalled" ? 1 : kWorkers); ++w) {
      beginners.push_back(std::make_unique<Beginner>(&registry, run, "w" + std::to_string(w)));
    }
    if (run == "paused" && !large->Pause("benchmark").ok()) Fail("the run could not be paused");
  }
  const auto large = Must(registry.Create("changed", SynchronousSpec(changed, 1), ""));
  v1::Run spec;
  google::protobuf::FieldMask mask;
  mask.add_paths("optimizer");
  spec.mutable_optimizer()->mutable_adam();
  Onlooker onlooker(*large);
  const absl::Duration begin = Clock::Real()->Elapsed();
  const std::future<absl::StatusOr<v1::Run>> answer = BeginUpdate(large.get(), spec, mask);
  absl::Duration change;
  const auto enough = [&] {
    if (change == absl::ZeroDuration() && IsAnswered(answer)) {
      change = Clock::Real()->Elapsed() - begin;
    }
    return change > absl::ZeroDuration() && step >= 2 * kSteps;
  };
  const std::vector<double> beside = Steps(&worker, &step, enough);
  Print("change_beside_ms", absl::ToDoubleMilliseconds(change), "ms");
  Print("longest_look_at_changed_ms", absl::ToDoubleMilliseconds(onlooker.Stop()), "ms");
  // Once more, in case the machine is faster or slower by now.
  beginners.clear();
  for (const auto& run : registry.All()) {
    if (run->run_id() != "small") registry.Remove(run.get());
  }
  const int64_t until = step + kSteps;
  for (const double seconds : Steps(&worker, &step, count(until))) alone.push_back(seconds);
  Print("small_step_alone_us", 1e6 * Median(alone), "us");
  Print("small_step_beside_large_us", 1e6 * Median(beside), "us");
  Print("longest_small_step_beside_large_ms", 1e3 * *std::max_element(beside.begin(), beside.end()),
        "ms");
  Print("small_run_beside_large", Median(beside) / Median(alone), "x");
}

}  // namespace gradd
