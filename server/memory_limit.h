#ifndef GRADD_SERVER_MEMORY_LIMIT_H_
#define GRADD_SERVER_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

namespace gradd {

// Bytes that this process may use: the machine's memory, or the limit of its control group or
// of one above that where it is smaller. Control groups of version 2, and of version 1 as
// containers see them. `root` is where /proc and /sys are; tests bring their own.
int64_t MemoryLimitBytes(const std::string& root = "");

}  // namespace gradd

#endif  // GRADD_SERVER_MEMORY_LIMIT_H_
