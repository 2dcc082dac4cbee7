#ifndef GRADD_TESTS_BENCHMARKS_ALLOCATION_COUNTER_H_
#define GRADD_TESTS_BENCHMARKS_ALLOCATION_COUNTER_H_

#include <cstddef>
#include <cstdint>

namespace gradd {

// Smaller than any payload of a large model, larger than what else is allocated on the way.
inline constexpr size_t kPayloadBytes = size_t{64} * 1024;

// Calls of operator new and mmap() for at least kPayloadBytes, by whatever code in this process.
// A program that links this counts them.
int64_t PayloadAllocations();

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_ALLOCATION_COUNTER_H_
