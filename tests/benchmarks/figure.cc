#include "tests/benchmarks/figure.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace gradd {

void Print(const std::string& name, double value, const std::string& unit) {
  std::printf("%s %.4g %s\n", name.c_str(), value, unit.c_str());
  std::fflush(stdout);
}

void Fail(const std::string& why) {
  std::fprintf(stderr, "gradd_benchmark: %s\n", why.c_str());
  std::exit(1);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::vector<double> MedianSeconds(int rounds, const std::vector<std::function<void()>>& tasks) {
  const Clock* const clock = Clock::Real();
  for (const auto& task : tasks) task();
  std::vector<std::vector<double>> seconds(tasks.size());
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < tasks.size(); ++i) {
      const absl::Duration begin = clock->Elapsed();
      tasks[i]();
      seconds[i].push_back(absl::ToDoubleSeconds(clock->Elapsed() - begin));
    }
  }
  std::vector<double> medians;
  for (auto& one : seconds) medians.push_back(Median(std::move(one)));
  return medians;
}

}  // namespace gradd
