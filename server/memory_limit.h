#ifndef GRADD_SERVER_MEMORY_LIMIT_H_
#define GRADD_SERVER_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

namespace gradd {

// Bytes that this process may use: the machine's memory, the limit of its address space
// (`ulimit -v`), or that of its control group or of one above, whichever is smallest. Control
// groups of version 2, and of version 1 as containers see them. `root` is where /proc and /sys are;
// tests bring their own.
int64_t MemoryLimitBytes(const std::string& root = "");

}  // namespace gradd

#endif  // GRADD_SERVER_MEMORY_LIMIT_H_
