#include "ctl/contour_map.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ctl/chart.h"
#include "ctl/gnuplot.h"

namespace gradd::ctl {
namespace {

constexpr size_t kPathsPerMap = 6;
constexpr int kMapWidth = 560;
constexpr int kMapHeight = 470;
constexpr int kGrid = 60;  // Points along each side, between which contours are drawn.
constexpr int kContours = 12;
// On a path. A dot for every step of a long one makes nothing clearer and the file three times as
// large.
constexpr size_t kMostDots = 50;

// The landscape's values over the part that is shown, in rows for gnuplot.
std::string GridBlock(const LandscapeInfo& landscape, std::vector<double>* values) {
  std::string block = "$grid << END\n";
  for (int row = 0; row < kGrid; ++row) {
    for (int column = 0; column < kGrid; ++column) {
      const auto at = [&](size_t axis, int index) {
        const double part = static_cast<double>(index) / (kGrid - 1);
        return landscape.low[axis] + part * (landscape.high[axis] - landscape.low[axis]);
      };
      const Point point = {at(0, column), at(1, row)};
      const double value = SlopeAt(landscape.landscape, point).value;
      values->push_back(value);
      absl::StrAppendFormat(&block, "%.6g %.6g %.6g\n", point[0], point[1], value);
    }
    absl::StrAppend(&block, "\n");
  }
  return absl::StrCat(block, "END\n");
}

// Contour levels that leave equal parts of the map between them, closer around the minima.
std::string Levels(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  std::string levels;
  for (int i = 1; i <= kContours; ++i) {
    const double part = static_cast<double>(i) / (kContours + 1);
    const auto index = static_cast<size_t>(part * part * static_cast<double>(values.size()));
    absl::StrAppend(&levels, levels.empty() ? "" : ",", absl::StrFormat("%.6g", values[index]));
  }
  return levels;
}

std::string PointsBlock(const std::string& name, absl::Span<const Point> points) {
  std::string block = absl::StrCat("$", name, " << END\n");
  for (const Point& point : points) {
    absl::StrAppendFormat(&block, "%.6g %.6g\n", point[0], point[1]);
  }
  return absl::StrCat(block, "END\n");
}

}  // namespace

absl::StatusOr<std::string> DrawContourMaps(const LandscapeInfo& landscape,
                                            absl::Span<const NamedPath> paths) {
  const int maps = std::max(1, static_cast<int>((paths.size() + kPathsPerMap - 1) / kPathsPerMap));
  const int columns = std::min(maps, 2);
  const int rows = (maps + columns - 1) / columns;
  std::vector<double> values;
  const std::string grid = GridBlock(landscape, &values);
  std::string script = absl::StrCat(
      grid, "set contour base\nunset surface\nset cntrparam levels discrete ", Levels(values),
      "\nset table $contours\nsplot $grid using 1:2:3\nunset table\nunset contour\n",
      SvgTerminal(kMapWidth * columns, kMapHeight * rows), "unset grid\n",
      PointsBlock("minima", landscape.minima));
  absl::StrAppendFormat(&script,
                        "set xrange [%g:%g]\nset yrange [%g:%g]\n"
                        "set key outside bottom center horizontal maxrows 3\n",
                        landscape.low[0], landscape.high[0], landscape.low[1], landscape.high[1]);
  if (maps > 1) absl::StrAppend(&script, "set multiplot layout ", rows, ",", columns, "\n");
  for (size_t begin = 0; begin < std::max<size_t>(paths.size(), 1); begin += kPathsPerMap) {
    std::string plot =
        "plot $contours using 1:2 with lines lw 0.7 lc rgb '#b8c4cc' notitle, "
        "$minima with points pt 3 ps 1.2 lc rgb '#444444' notitle";
    const auto some = paths.subspan(begin, kPathsPerMap);
    for (size_t i = 0; i < some.size(); ++i) {
      const std::string name = absl::StrCat("path", begin + i);
      const absl::Span<const Point> points = some[i].points;
      if (points.empty()) continue;
      absl::StrAppend(&script, PointsBlock(name, points));
      absl::StrAppend(&script, PointsBlock(name + "end", points.last(1)));
      absl::StrAppend(&plot, ", $", name, " with linespoints lw 1.3 pt 7 ps 0.25 pi ",
                      (points.size() + kMostDots - 1) / kMostDots, " lc rgb '", CurveColour(i),
                      "' title ", GnuplotString(some[i].name), ", $", name,
                      "end with points pt 2 ps 0.9 lw 2 lc rgb '", CurveColour(i), "' notitle");
      if (i == 0) {
        absl::StrAppend(&script, PointsBlock("start", points.first(1)));
        absl::StrAppend(&plot, ", $start with points pt 7 ps 0.7 lc rgb '#000000' notitle");
      }
    }
    absl::StrAppend(&script, "set title ", GnuplotString(landscape.name), "\n", plot, "\n");
  }
  if (maps > 1) absl::StrAppend(&script, "unset multiplot\n");
  return RunGnuplot(script);
}

}  // namespace gradd::ctl
