#ifndef GRADD_SERVER_MEMORY_LIMIT_H_
#define GRADD_SERVER_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

namespace gradd {

// What a process may use.
struct MemoryLimits {
  // Of memory: the machine's, or the limit of the process's control group or of one above,
  // whichever is smallest.
  int64_t memory_bytes = 0;
  // Of address space (`ulimit -v`), and what of it is in use; 0: no limit.
  int64_t address_space_bytes = 0;
  int64_t address_space_used_bytes = 0;
};

// Those of this process. Control groups of version 1 and 2 are found where /proc/self/mountinfo
// says that they are. `root` is where /proc and /sys are; tests bring their own.
MemoryLimits ReadMemoryLimits(const std::string& root = "");

// What runs may take of it: all but a reserve for the program, connections and threads, which is a
// tenth, and no less than 64 MiB of memory and 384 MiB of address space; but a quarter of what is
// little.
int64_t MemoryForRuns(const MemoryLimits& limits);

}  // namespace gradd

#endif  // GRADD_SERVER_MEMORY_LIMIT_H_
