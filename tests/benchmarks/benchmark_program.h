#ifndef GRADD_TESTS_BENCHMARKS_BENCHMARK_PROGRAM_H_
#define GRADD_TESTS_BENCHMARKS_BENCHMARK_PROGRAM_H_

namespace gradd {

// Runs the registered benchmarks as the command line says, and prints what the machine charges
// beside them (MachineCosts). Returns the exit code of the program.
int RunBenchmarks(int argc, char** argv);

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_BENCHMARK_PROGRAM_H_
