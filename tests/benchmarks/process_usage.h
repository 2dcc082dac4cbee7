#ifndef GRADD_TESTS_BENCHMARKS_PROCESS_USAGE_H_
#define GRADD_TESTS_BENCHMARKS_PROCESS_USAGE_H_

#include <sys/types.h>

namespace gradd {

// What a process has used so far, all of its living threads together. Unlike its time, these counts
// depend little on what else the machine does.
struct ProcessUsage {
  double page_faults = 0;  // Pages that were touched for the first time.
  double cpu_seconds = 0;  // In the program and in the kernel, in steps of 1/100 s.
  double waits = 0;        // How often a thread gave up its core to wait for something.
};

// Reads /proc/{process}.
ProcessUsage UsageOf(pid_t process);

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_PROCESS_USAGE_H_
