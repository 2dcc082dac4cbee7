// The figures that need a server, each measured against a reference in the same run.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "tests/benchmarks/figure.h"
#include "tests/benchmarks/machine.h"
#include "tests/benchmarks/reference.h"

namespace {

struct Group {
  const char* name;
  void (*measure)(const gradd::Settings& settings);
};

constexpr Group kGroups[] = {
    {"step", gradd::MeasureSteps},
    {"first_shared_step", gradd::MeasureFirstSharedStep},
    {"page_faults", gradd::MeasurePageFaults},
    {"two_workers", gradd::MeasureTwoWorkers},
    {"small_step", gradd::MeasureSmallStep},
    {"update", gradd::MeasureUpdate},
    {"optimizers", gradd::MeasureOptimizers},
    {"fairness", gradd::MeasureFairness},
    {"beside", gradd::MeasureBeside},
    {"measurements", gradd::MeasureMeasurements},
    {"policies", gradd::MeasurePolicies},
    {"durability", gradd::MeasureDurability},
    {"rows", gradd::MeasureRows},
    {"push_rate", gradd::MeasurePushRate},
    {"idle_sessions", gradd::MeasureIdleSessions},
    {"billion", gradd::MeasureBillion},
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures gradd and prints a line `name value unit` per figure.", "gradd_benchmark");
  gradd::Settings settings;
  settings.reference = "/proc/self/exe";
  std::vector<std::string> names;
  for (const Group& group : kGroups) names.emplace_back(group.name);
  std::vector<std::string> wanted;
  bool serve = false;
  std::string ready_file;
  app.add_option("groups", wanted, "Which figures")->check(CLI::IsMember(names));
  app.add_option("--gradd", settings.gradd, "The server's program")->check(CLI::ExistingFile);
  app.add_flag("--quick", settings.quick, "Fewer repetitions");
  app.add_flag("--serve", serve, "Be the reference's server");
  app.add_option("--ready-file", ready_file, "Where the reference's addresses go");
  CLI11_PARSE(app, argc, argv);
  if (serve) gradd::ServeReference(ready_file);
  const gradd::MachineCosts machine = gradd::MeasureMachine();
  gradd::Print("page_us", machine.page_us, "us");
  gradd::Print("huge_page_us", machine.huge_page_us, "us");
  gradd::Print("memory_gb_per_second", machine.memory_gb_per_second, "GB/s");
  for (const std::string& name : wanted) {
    for (const Group& group : kGroups) {
      if (name == group.name) group.measure(settings);
    }
  }
  return 0;
}
