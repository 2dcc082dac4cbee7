// One step with the C++ client over a real server, against the same bytes on a plain stream.

#include <algorithm>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/session.h"
#include "tests/benchmarks/allocation_counter.h"
#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/reference.h"
#include "tests/benchmarks/server_process.h"

namespace gradd {
namespace {

using PushKind = PushEncoding::Kind;

// One way to make a step.
struct StepVariant {
  const char* name;       // Its time is printed as `{name}_ms`,
  const char* figure;     // and over that of `reference`, which stands above it or is the plain
  const char* reference;  // stream, as this one; null if it is only a reference itself.
  void (*set)(SessionOptions* options);
};

const StepVariant kVariants[] = {
    {"tcp_step", "tcp_step_over_stream", "stream", [](SessionOptions*) {}},
    {"shm_step", "shm_step_over_tcp_step", "tcp_step",
     [](SessionOptions* options) { options->shared_memory = true; }},
    {"bf16_step", "bf16_step_over_f32_step", "tcp_step",
     [](SessionOptions* options) {
       options->push_encoding.kind = PushKind::kBfloat16;
       options->parameter_encodings = {v1::ENCODING_BFLOAT16};
     }},
    {"int8_step", "int8_step_over_f32_step", "tcp_step",
     [](SessionOptions* options) {
       options->push_encoding.kind = PushKind::kInt8;
       options->parameter_encodings = {v1::ENCODING_BFLOAT16};
     }},
    {"topk_step", nullptr, nullptr,
     [](SessionOptions* options) { options->push_encoding.kind = PushKind::kTopK; }},
};

// Noise: what is compressed must be no better than a real gradient.
std::vector<float> Gradient(int64_t elements) {
  std::vector<float> gradient(static_cast<size_t>(elements));
  uint32_t random = 1;
  for (float& value : gradient) {
    random = random * 1664525 + 1013904223;
    value = (static_cast<float>(random >> 8) / static_cast<float>(1 << 24) - 0.5f) * 1e-2f;
  }
  return gradient;
}

SessionOptions Options(const GraddProcess& server, const std::string& run,
                       const std::string& worker) {
  SessionOptions options;
  options.server = server.address();
  options.run = run;
  options.worker = worker;
  return options;
}

// A worker that pushes the same gradient in every step.
class Worker {
 public:
  Worker(SessionOptions options, absl::Span<const float> gradient)
      : session_(Must(Session::Open(std::move(options)))), gradient_(gradient) {
    const absl::Span<float> own = session_->gradient();
    if (own.empty()) {
      parameters_.resize(gradient.size());
    } else {
      std::copy(gradient.begin(), gradient.end(), own.begin());
    }
  }

  void Begin() {
    report_ = parameters_.empty()
                  ? session_->Push({base_, 1, 0})
                  : session_->Push({base_, 1, 0}, gradient_, absl::MakeSpan(parameters_));
  }
  void End() {
    const PushReport report = Must(report_.get());
    if (report.outcome != v1::PUSH_OUTCOME_APPLIED) Fail("a push was not applied");
    base_ = report.step;
  }
  void Step() {
    Begin();
    End();
  }

 private:
  const std::unique_ptr<Session> session_;
  const absl::Span<const float> gradient_;
  std::vector<float> parameters_;
  std::future<absl::StatusOr<PushReport>> report_;
  int64_t base_ = 0;
};

// Steady state: everything has been stepping for a while.
void CountAllocations(const GraddProcess& server,
                      const std::vector<std::unique_ptr<Worker>>& workers) {
  constexpr int kSteps = 5;
  const auto allocations = [&] { return server.BlockAllocations() + PayloadAllocations(); };
  allocations();  // The scrape itself has its buffers now.
  const int64_t before = allocations();
  for (const auto& worker : workers) {
    for (int i = 0; i < kSteps; ++i) worker->Step();
  }
  Print("block_allocations_per_step",
        static_cast<double>(allocations() - before) / static_cast<double>(kSteps * workers.size()),
        "blocks");
}

}  // namespace

void MeasureSteps(const Settings& settings) {
  const ServerProcess reference({settings.reference, "--serve"});
  GraddProcess server(settings.gradd);
  const std::vector<float> gradient = Gradient(kLargeElements);
  PlainStream stream(reference.address("grpc"));
  RawTcp tcp(reference.address("tcp"));

  std::vector<std::string> names = {"stream", "raw_tcp"};
  std::vector<std::function<void()>> tasks = {[&] { stream.Exchange(kLargeElements, gradient); },
                                              [&] { tcp.Exchange(gradient); }};
  std::vector<std::unique_ptr<Worker>> workers;
  for (const StepVariant& variant : kVariants) {
    const std::string run = absl::StrReplaceAll(variant.name, {{"_", "-"}});
    server.CreateRun(run, kLargeElements, 1);
    SessionOptions options = Options(server, run, "w");
    variant.set(&options);
    workers.push_back(std::make_unique<Worker>(std::move(options), gradient));
    names.emplace_back(variant.name);
    tasks.emplace_back([worker = workers.back().get()] { worker->Step(); });
  }
  const std::vector<double> seconds = MedianSeconds(settings.rounds(), tasks);
  std::map<std::string, double> by_name;
  for (size_t i = 0; i < names.size(); ++i) {
    by_name[names[i]] = seconds[i];
    Print(absl::StrCat(names[i], "_ms"), seconds[i] * 1e3, "ms");
  }
  for (const StepVariant& variant : kVariants) {
    if (variant.figure == nullptr) continue;
    Print(variant.figure, by_name[variant.name] / by_name[variant.reference], "x");
  }
  // From its first chunk to its last one, checked: without encoding, waiting and applying.
  const auto push_seconds = [&](const std::string& run) {
    const v1::StepProfile profile = server.Profile(run);
    return profile.receive_seconds() + profile.stage_seconds();
  };
  for (const StepVariant& variant : kVariants) {
    const std::string run = absl::StrReplaceAll(variant.name, {{"_", "-"}});
    const v1::StepProfile profile = server.Profile(run);
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

void MeasureTwoWorkers(const Settings& settings) {
  GraddProcess server(settings.gradd);
  const std::vector<float> gradient = Gradient(kLargeElements);
  server.CreateRun("one", kLargeElements, 1);
  server.CreateRun("two", kLargeElements, 2);
  Worker alone(Options(server, "one", "a"), gradient);
  Worker first(Options(server, "two", "a"), gradient);
  Worker second(Options(server, "two", "b"), gradient);
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
    Worker worker(Options(server, "small", "w"), gradient);
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
