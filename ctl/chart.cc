#include "ctl/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ctl/gnuplot.h"

namespace gradd::ctl {
namespace {

constexpr int kWidth = 860;
constexpr int kHeight = 480;

// Okabe and Ito's colours, which colour-blind people can tell apart, without yellow.
constexpr std::array<const char*, 8> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#56b4e9", "#e69f00", "#000000", "#8c564b"};
// One dash pattern for each round through the colours.
constexpr std::array<const char*, 4> kDashes = {"solid", "'-'", "'.'", "'-.'"};

// Where a value lies on an axis; NaN if it does not.
double Place(double value, bool logarithmic) {
  if (!std::isfinite(value) || (logarithmic && value <= 0)) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return logarithmic ? std::log10(value) : value;
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Include(double place) {
    if (std::isnan(place)) return;
    low = std::min(low, place);
    high = std::max(high, place);
  }
  bool empty() const { return low > high; }
  // The part of the way from low to high at which `place` is.
  double Part(double place) const { return high > low ? (place - low) / (high - low) : 0.5; }
};

// Whether the point of a curve is on the chart at all.
bool Shown(const Chart& chart, const std::pair<double, double>& point) {
  return !std::isnan(Place(point.first, chart.log_x)) &&
         !std::isnan(Place(point.second, chart.log_y)) &&
         (!chart.y_limit.has_value() || point.second <= *chart.y_limit);
}

std::string Script(const Chart& chart) {
  std::string script;
  std::string plot;
  size_t coloured = 0;
  for (size_t i = 0; i < chart.curves.size(); ++i) {
    const Chart::Curve& curve = chart.curves[i];
    absl::StrAppend(&script, "$curve", i, " << END\n");
    bool any = false;
    for (const auto& point : curve.points) {
      const bool shown = Shown(chart, point);
      any = any || shown;
      absl::StrAppend(&script, shown ? absl::StrFormat("%.9g %.9g", point.first, point.second) : "",
                      "\n");
    }
    absl::StrAppend(&script, "END\n");
    const size_t colour = curve.pale ? 0 : coloured++;
    if (!any) continue;
    absl::StrAppend(
        &plot, plot.empty() ? "plot " : ", ", "$curve", i, " with lines lw ",
        curve.pale ? "1" : "2", " lc rgb '", curve.pale ? "#b8c4cc" : CurveColour(colour),
        "' dashtype ", kDashes[colour / kColours.size() % kDashes.size()],
        curve.name.empty() ? " notitle" : absl::StrCat(" title ", GnuplotString(curve.name)));
  }
  absl::StrAppend(&script, "set title ", GnuplotString(chart.title), "\nset xlabel ",
                  GnuplotString(chart.x_label), "\nset ylabel ", GnuplotString(chart.y_label),
                  "\nset key outside right top Left reverse\nset format '%g'\n",
                  chart.log_x ? "set logscale x\n" : "unset logscale x\n",
                  chart.log_y ? "set logscale y 2\nset autoscale yfix\n" : "unset logscale y\n");
  absl::StrAppend(&script, "unset arrow\nunset label\n");
  if (chart.mark.has_value()) {
    absl::StrAppendFormat(&script,
                          "set arrow from first %g, graph 0 to first %g, graph 1 nohead lw 1 "
                          "dashtype '-' lc rgb '#444444'\n",
                          chart.mark->x, chart.mark->x);
    absl::StrAppendFormat(&script, "set label %s at first %g, graph 0.96 right offset -1,0\n",
                          GnuplotString(chart.mark->name), chart.mark->x);
  }
  // gnuplot does not know what to draw where there is nothing.
  if (plot.empty()) plot = "set xrange [1:2]\nset yrange [1:2]\nplot NaN notitle";
  return absl::StrCat(script, plot, "\n");
}

std::string AxisNumber(double place, bool logarithmic) {
  return absl::StrFormat("%.3g", logarithmic ? std::pow(10, place) : place);
}

}  // namespace

char CurveSymbol(size_t index) {
  constexpr absl::string_view kSymbols = "*o+x#@%=";
  return kSymbols[index % kSymbols.size()];
}

std::string CurveColour(size_t index) { return kColours[index % kColours.size()]; }

absl::StatusOr<std::string> DrawCharts(const std::vector<Chart>& charts) {
  const int count = static_cast<int>(charts.size());
  std::string script = SvgTerminal(kWidth, kHeight * count);
  if (count > 1) absl::StrAppend(&script, "set multiplot layout ", count, ",1\n");
  for (const Chart& chart : charts) absl::StrAppend(&script, Script(chart));
  if (count > 1) absl::StrAppend(&script, "unset multiplot\n");
  return RunGnuplot(script);
}

std::string DrawInTerminal(const Chart& chart, int width, int height) {
  constexpr int kMargin = 10;  // For the numbers of the vertical axis.
  const auto rows = static_cast<size_t>(std::max(height, 10));
  const auto columns = static_cast<size_t>(std::max(width, 40) - kMargin);
  Range x_range;
  Range y_range;
  for (const Chart::Curve& curve : chart.curves) {
    for (const auto& point : curve.points) {
      if (curve.pale || !Shown(chart, point)) continue;
      x_range.Include(Place(point.first, chart.log_x));
      y_range.Include(Place(point.second, chart.log_y));
    }
  }
  if (x_range.empty()) return "(nothing to draw)\n";
  std::vector<std::string> canvas(rows, std::string(columns, ' '));
  const auto column_of = [&](double place) {
    return static_cast<size_t>(std::lround(x_range.Part(place) * static_cast<double>(columns - 1)));
  };
  if (chart.mark.has_value()) {
    const double place = Place(chart.mark->x, chart.log_x);
    if (place >= x_range.low && place <= x_range.high) {
      for (std::string& row : canvas) row[column_of(place)] = '|';
    }
  }
  size_t symbol = 0;
  for (const Chart::Curve& curve : chart.curves) {
    if (curve.pale) continue;
    for (const auto& point : curve.points) {
      if (!Shown(chart, point)) continue;
      const double part = y_range.Part(Place(point.second, chart.log_y));
      const auto row = static_cast<size_t>(std::lround((1 - part) * static_cast<double>(rows - 1)));
      canvas[row][column_of(Place(point.first, chart.log_x))] = CurveSymbol(symbol);
    }
    ++symbol;
  }
  std::string text = absl::StrCat(chart.y_label, "\n");
  for (size_t row = 0; row < rows; ++row) {
    std::string number;
    if (row == 0 || row + 1 == rows || row == rows / 2) {
      const double part = 1 - static_cast<double>(row) / static_cast<double>(rows - 1);
      number = AxisNumber(y_range.low + part * (y_range.high - y_range.low), chart.log_y);
    }
    const size_t end = canvas[row].find_last_not_of(' ');
    absl::StrAppendFormat(&text, "%*s |%s\n", kMargin - 2, number,
                          canvas[row].substr(0, end == std::string::npos ? 0 : end + 1));
  }
  const std::string low = AxisNumber(x_range.low, chart.log_x);
  const std::string high = AxisNumber(x_range.high, chart.log_x);
  const std::string frame(kMargin - 1, ' ');
  absl::StrAppend(&text, frame, "+", std::string(columns, '-'), "\n", frame, low);
  const auto middle = static_cast<int>(columns - low.size());
  absl::StrAppendFormat(&text, "%*s\n", middle + 1, high);
  absl::StrAppendFormat(&text, "%*s\n",
                        kMargin + static_cast<int>(columns + chart.x_label.size()) / 2,
                        chart.x_label);
  return text;
}

}  // namespace gradd::ctl
