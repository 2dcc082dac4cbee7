#ifndef GRADD_CORE_BASE_MULTIVERSION_H_
#define GRADD_CORE_BASE_MULTIVERSION_H_

// GRADD_MULTIVERSION before a function: compiled once for every x86-64 and once for processors with
// AVX2; the loader picks. Worth it for loops over integers and bytes, which SSE2 serves badly; the
// results are the same bits, since neither has fused multiply-add. Sanitizers cannot run the
// loader's choice.
//
// GRADD_MULTIVERSION_WIDE is the same, and also for AVX-512: where arithmetic takes longer than
// memory does.
//
// GRADD_RUNTIME_KERNELS is defined where code may pick between functions of other processors
// itself.
//
// With GRADD_ONE_VERSION there is but one: tests compare what it computes when the whole is
// compiled for one kind of processor or another.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(GRADD_ONE_VERSION)
#define GRADD_RUNTIME_KERNELS
#endif
#if defined(GRADD_RUNTIME_KERNELS) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GRADD_MULTIVERSION __attribute__((target_clones("default", "avx2")))
#define GRADD_MULTIVERSION_WIDE __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define GRADD_MULTIVERSION
#define GRADD_MULTIVERSION_WIDE
#endif

#endif  // GRADD_CORE_BASE_MULTIVERSION_H_
