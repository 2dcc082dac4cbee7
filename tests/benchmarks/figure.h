#ifndef GRADD_TESTS_BENCHMARKS_FIGURE_H_
#define GRADD_TESTS_BENCHMARKS_FIGURE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace gradd {

// The two models that figures are about.
inline constexpr int64_t kLargeElements = 25'000'000;
inline constexpr int64_t kSmallElements = 1'000;

// What every figure is measured with.
struct Settings {
  std::string gradd;      // The server's program.
  std::string reference;  // This program, which serves the reference too.
  bool quick = false;     // Fewer repetitions.

  int rounds() const { return quick ? 5 : 15; }
};

// The figures, a group at a time; README.md explains them. Each prints its lines.
void MeasureSteps(const Settings& settings);
void MeasurePageFaults(const Settings& settings);
void MeasureFirstSharedStep(const Settings& settings);
void MeasureTwoWorkers(const Settings& settings);
void MeasureSmallStep(const Settings& settings);
void MeasureUpdate(const Settings& settings);
void MeasureOptimizers(const Settings& settings);
void MeasureFairness(const Settings& settings);
void MeasureBeside(const Settings& settings);
void MeasureMeasurements(const Settings& settings);
void MeasurePolicies(const Settings& settings);
void MeasureDurability(const Settings& settings);
void MeasureRows(const Settings& settings);
void MeasurePushRate(const Settings& settings);
void MeasureIdleSessions(const Settings& settings);
void MeasureBillion(const Settings& settings);

// Prints `name value unit`.
void Print(const std::string& name, double value, const std::string& unit);

// Says why nothing can be measured, and exits.
[[noreturn]] void Fail(const std::string& why);

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) Fail(value.status().ToString());
  return *std::move(value);
}

double Median(std::vector<double> values);

// Calls the tasks in turns, so that a noisy moment hits all of them: one round that does not
// count, then `rounds`. Returns each one's median, in seconds.
std::vector<double> MedianSeconds(int rounds, const std::vector<std::function<void()>>& tasks);

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_FIGURE_H_
