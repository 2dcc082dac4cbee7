// Many sessions: how many pushes a second, and the memory of one that is idle.

#include <vector>

#include "absl/time/clock.h"
#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/light_workers.h"
#include "tests/benchmarks/server_process.h"

namespace gradd {
namespace {

constexpr int kMany = 1'000;
constexpr int kFew = 10;

}  // namespace

void MeasurePushRate(const Settings& settings) {
  constexpr int kManySteps = 3;
  constexpr int kFewSteps = 100;
  GraddProcess server(settings.gradd);
  server.CreateRun("few", kSmallElements, kFew);
  server.CreateRun("many", kSmallElements, kMany);
  LightWorkers few(server.address(), "few", kFew, kSmallElements);
  LightWorkers many(server.address(), "many", kMany, kSmallElements);
  const std::vector<double> seconds =
      MedianSeconds(settings.rounds(), {[&] {
                                          for (int i = 0; i < kFewSteps; ++i) few.Step();
                                        },
                                        [&] {
                                          for (int i = 0; i < kManySteps; ++i) many.Step();
                                        }});
  const double few_rate = kFewSteps * kFew / seconds[0];
  const double many_rate = kManySteps * kMany / seconds[1];
  Print("push_rate_10", few_rate, "pushes/s");
  Print("push_rate_1000", many_rate, "pushes/s");
  Print("push_rate_1000_over_10", many_rate / few_rate, "x");
}

void MeasureIdleSessions(const Settings& settings) {
  GraddProcess server(settings.gradd);
  server.CreateRun("first", kSmallElements, kFew);
  server.CreateRun("idle", kSmallElements, kMany);
  // What the first sessions cost once, such as threads.
  const LightWorkers first(server.address(), "first", kFew, kSmallElements);
  const int64_t before = server.process().MemoryBytes("VmRSS");
  const LightWorkers idle(server.address(), "idle", kMany, kSmallElements);
  const int64_t after = server.process().MemoryBytes("VmRSS");
  Print("idle_session_kib", static_cast<double>(after - before) / 1024 / kMany, "KiB");
}

}  // namespace gradd
