#ifndef GRADD_WORKER_BLAS_H_
#define GRADD_WORKER_BLAS_H_

#include <string>

namespace gradd {

// The kernels OpenBLAS has picked for this CPU, such as `Haswell`.
std::string BlasKernels();

// Makes OpenBLAS compute each product on the thread that asks for it: the way it would split
// one among its own threads shows in the last bits.
void KeepBlasSingleThreaded();

// What OpenBLAS should rather use than `picked` on a CPU with these instructions; empty:
// nothing better.
std::string BetterBlasKernels(const std::string& picked, bool avx2, bool avx512);

// OpenBLAS knows CPUs by their model numbers and takes its oldest kernels, four times
// slower, for one that is newer than itself. It picks them while the program is loaded, so
// where that happened this starts the program anew, in this process, with
// OPENBLAS_CORETYPE set. Returns if there is nothing better or the user has set it. Call
// it first in main() with main's `argv`.
void RestartWithBetterBlasKernels(char** argv);

}  // namespace gradd

#endif  // GRADD_WORKER_BLAS_H_
