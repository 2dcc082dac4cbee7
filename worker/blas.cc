#include "worker/blas.h"

#include <stdlib.h>
#include <unistd.h>

extern "C" {
// The vendor's own; the headers of its packages differ in where they declare them.
void openblas_set_num_threads(int threads);  // NOLINT(readability-identifier-naming)
char* openblas_get_corename();               // NOLINT(readability-identifier-naming)
}

namespace gradd {
namespace {

constexpr char kKernelsVariable[] = "OPENBLAS_CORETYPE";

bool HasAvx2() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool HasAvx512() {
#ifdef __x86_64__
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

}  // namespace

std::string BlasKernels() { return openblas_get_corename(); }

void KeepBlasSingleThreaded() { openblas_set_num_threads(1); }

std::string BetterBlasKernels(const std::string& picked, bool avx2, bool avx512) {
  // What OpenBLAS falls back to on x86-64; a CPU that really is one has neither.
  if (picked != "Prescott") return "";
  return avx512 ? "SkylakeX" : avx2 ? "Haswell" : "";
}

void RestartWithBetterBlasKernels(char** argv) {
  if (getenv(kKernelsVariable) != nullptr) return;
  const std::string better = BetterBlasKernels(BlasKernels(), HasAvx2(), HasAvx512());
  if (better.empty() || setenv(kKernelsVariable, better.c_str(), 1) != 0) return;
  // On failure the program goes on with what it has.
  execv("/proc/self/exe", argv);
}

}  // namespace gradd
