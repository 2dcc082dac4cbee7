#ifndef GRADD_TESTS_BENCHMARKS_MACHINE_H_
#define GRADD_TESTS_BENCHMARKS_MACHINE_H_

#include <cstdint>

#include "core/base/thread_pool.h"

namespace gradd {

// p -= lr * g in place on all cores, over vectors of the large model on huge pages: what memory can
// do.
class MemorySweep {
 public:
  MemorySweep();
  ~MemorySweep();
  MemorySweep(const MemorySweep&) = delete;
  MemorySweep& operator=(const MemorySweep&) = delete;

  // Reads p and g, and writes p.
  void Run();
  static constexpr int64_t kElements = 25'000'000;
  static constexpr int64_t kBytesPerElement = 12;

 private:
  ThreadPool pool_;
  float* const parameters_;
  float* const gradient_;
};

// What the machine charges, against which all times are to be read.
struct MachineCosts {
  // Of touching 4 KiB for the first time.
  double page_us = 0;
  double huge_page_us = 0;  // Where the kernel is asked for huge pages.
  // Of a MemorySweep.
  double memory_gb_per_second = 0;
};
MachineCosts MeasureMachine();

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_MACHINE_H_
