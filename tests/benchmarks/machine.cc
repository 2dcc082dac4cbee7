#include "tests/benchmarks/machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace gradd {
namespace {

constexpr size_t kSmallPage = 4096;
constexpr size_t kVectorBytes = MemorySweep::kElements * sizeof(float);

void* Map(size_t bytes, int advice) {
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("no memory to measure the machine with");
    std::exit(1);
  }
  madvise(memory, bytes, advice);
  return memory;
}

template <typename Task>
double Seconds(const Task& task) {
  const absl::Duration begin = Clock::Real()->Elapsed();
  task();
  return absl::ToDoubleSeconds(Clock::Real()->Elapsed() - begin);
}

// For each page of 4 KiB.
double TouchMicroseconds(int advice) {
  constexpr size_t kBytes = size_t{64} << 20;
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    void* const memory = Map(kBytes, advice);
    volatile char* const bytes = static_cast<char*>(memory);
    best = std::min(best, Seconds([&] {
                      for (size_t at = 0; at < kBytes; at += kSmallPage) bytes[at] = 1;
                    }));
    munmap(memory, kBytes);
  }
  return best * 1e6 * kSmallPage / kBytes;
}

}  // namespace

MemorySweep::MemorySweep()
    : pool_(std::max(1, static_cast<int>(std::thread::hardware_concurrency()))),
      parameters_(static_cast<float*>(Map(kVectorBytes, MADV_HUGEPAGE))),
      gradient_(static_cast<float*>(Map(kVectorBytes, MADV_HUGEPAGE))) {
  std::fill_n(gradient_, kElements, 1e-3F);
  Run();
}

MemorySweep::~MemorySweep() {
  munmap(parameters_, kVectorBytes);
  munmap(gradient_, kVectorBytes);
}

void MemorySweep::Run() {
  static constexpr int64_t kPiece = int64_t{256} * 1024;
  pool_.ParallelFor((kElements + kPiece - 1) / kPiece, [this](int64_t piece) {
    const int64_t begin = piece * kPiece;
    const int64_t size = std::min(kPiece, kElements - begin);
    float* const p = parameters_ + begin;
    const float* const g = gradient_ + begin;
    for (int64_t i = 0; i < size; ++i) p[i] -= 0.01F * g[i];
  });
}

MachineCosts MeasureMachine() {
  MachineCosts costs;
  costs.page_us = TouchMicroseconds(MADV_NOHUGEPAGE);
  costs.huge_page_us = TouchMicroseconds(MADV_HUGEPAGE);
  MemorySweep sweep;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) best = std::min(best, Seconds([&] { sweep.Run(); }));
  constexpr double kBytes = MemorySweep::kElements * MemorySweep::kBytesPerElement;
  costs.memory_gb_per_second = kBytes / best / 1e9;
  return costs;
}

}  // namespace gradd
