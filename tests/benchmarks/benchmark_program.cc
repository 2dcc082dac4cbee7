#include "tests/benchmarks/benchmark_program.h"

#include <benchmark/benchmark.h>

#include <string>

#include "tests/benchmarks/machine.h"

namespace gradd {

int RunBenchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const MachineCosts machine = MeasureMachine();
  benchmark::AddCustomContext("page_us", std::to_string(machine.page_us));
  benchmark::AddCustomContext("huge_page_us", std::to_string(machine.huge_page_us));
  benchmark::AddCustomContext("memory_gb_per_second", std::to_string(machine.memory_gb_per_second));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace gradd
