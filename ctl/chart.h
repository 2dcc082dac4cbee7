#ifndef GRADD_CTL_CHART_H_
#define GRADD_CTL_CHART_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace gradd::ctl {

// Curves over one pair of axes. What is not finite, or not positive on a logarithmic axis, is left
// out and interrupts the curve.
struct Chart {
  struct Curve {
    std::string name;
    std::vector<std::pair<double, double>> points;
    bool pale = false;  // In the background.
  };
  std::string title;
  std::string x_label;
  std::string y_label;
  bool log_x = false;
  bool log_y = false;
  std::optional<double> y_limit;  // Curves that rise above it are cut off there.
  std::vector<Curve> curves;
  // A vertical line, and what it means.
  struct Mark {
    double x = 0;
    std::string name;
  };
  std::optional<Mark> mark;
};

// One above the other, as SVG.
absl::StatusOr<std::string> DrawCharts(const std::vector<Chart>& charts);

// The first curves that are not pale, with characters, `width` columns wide: at least 40 and 10
// rows are used. Ends with a line break.
std::string DrawInTerminal(const Chart& chart, int width, int height);

// What DrawInTerminal() draws the curve at `index`, of those that are not pale, with.
char CurveSymbol(size_t index);

// The colour of the curve at `index` where there are several: `#0072b2`.
std::string CurveColour(size_t index);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_CHART_H_
