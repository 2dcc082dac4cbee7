// The memory of a server with a run of a billion parameters.

#include <vector>

#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/reference.h"
#include "tests/benchmarks/server_process.h"

namespace gradd {
namespace {

constexpr int64_t kBillion = 1'000'000'000;

}  // namespace

void MeasureBillion(const Settings& settings) {
  GraddProcess server(settings.gradd);
  server.CreateRun("billion", kBillion, 1);
  // A worker without a model: one chunk, over and over.
  const std::vector<float> chunk(256 * 1024, 1e-3f);
  PlainStream worker(server.address());
  worker.Join("billion", "w");
  for (int i = 0; i < 2; ++i) worker.Exchange(kBillion, chunk);
  Print("billion_rss_gb", static_cast<double>(server.process().MemoryBytes("VmHWM")) / 1e9, "GB");
}

}  // namespace gradd
