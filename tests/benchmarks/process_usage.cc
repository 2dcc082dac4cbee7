#include "tests/benchmarks/process_usage.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "tests/benchmarks/figure.h"

namespace gradd {
namespace {

// Of one thread, which may have ended meanwhile.
double WaitsOf(const std::filesystem::path& thread) {
  std::ifstream file(thread / "status");
  for (std::string name; file >> name;) {
    double waits = 0;
    if (name == "voluntary_ctxt_switches:" && file >> waits) return waits;
  }
  return 0;
}

}  // namespace

ProcessUsage UsageOf(pid_t process) {
  const std::string directory = absl::StrCat("/proc/", process);
  std::ifstream file(directory + "/stat");
  std::string line;
  std::getline(file, line);
  // The program's name, in parentheses, may have spaces. After it come state, ppid, pgrp, session,
  // tty, tpgid and flags, then what is wanted here.
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  for (int i = 0; i < 7; ++i) {
    std::string skipped;
    fields >> skipped;
  }
  double minor = 0;
  double minor_of_children = 0;
  double major = 0;
  double major_of_children = 0;
  double user_ticks = 0;
  double system_ticks = 0;
  fields >> minor >> minor_of_children >> major >> major_of_children >> user_ticks >> system_ticks;
  if (!fields) Fail(absl::StrCat("no usage of process ", process));
  ProcessUsage usage;
  usage.page_faults = minor + major;
  usage.cpu_seconds = (user_ticks + system_ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator(directory + "/task", ignored)) {
    usage.waits += WaitsOf(thread.path());
  }
  return usage;
}

}  // namespace gradd
