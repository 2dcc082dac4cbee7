#include "ctl/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_split.h"
#include "ctl/contour_map.h"
#include "ctl/gnuplot.h"

namespace gradd::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Chart Example() {
  Chart chart;
  chart.title = "it's \"loss\" by $rate \\ `echo executed`";
  chart.x_label = "learning rate";
  chart.y_label = "loss";
  chart.log_x = true;
  chart.curves = {{"falls", {{1e-3, 3}, {1e-2, 2}, {1e-1, 1}}, false}};
  return chart;
}

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ChartTest, DrawsSvgWithTheTextsAsTheyAre) {
  const auto svg = DrawCharts({Example()});
  ASSERT_TRUE(svg.ok()) << svg.status();
  EXPECT_THAT(*svg, StartsWith("<?xml"));
  EXPECT_THAT(*svg, HasSubstr("</svg>"));
  EXPECT_THAT(*svg, HasSubstr("it's \"loss\" by $rate \\ `echo executed`"));
  EXPECT_THAT(*svg, HasSubstr("falls"));
  EXPECT_THAT(*svg, HasSubstr("learning rate"));
}

TEST(ChartTest, OneAboveTheOther) {
  const auto svg = DrawCharts({Example(), Example()});
  ASSERT_TRUE(svg.ok()) << svg.status();
  EXPECT_EQ(Count(*svg, "falls"), 2);
}

TEST(ChartTest, LeavesOutWhatCannotBeShown) {
  Chart chart = Example();
  chart.log_y = true;
  chart.y_limit = 5;
  chart.curves[0].points = {{0, 1},
                            {1e-3, std::numeric_limits<double>::quiet_NaN()},
                            {1e-2, std::numeric_limits<double>::infinity()},
                            {1e-1, -1},
                            {1, 2},
                            {2, 1},
                            {10, 100}};
  ASSERT_TRUE(DrawCharts({chart}).ok());
  const std::string text = DrawInTerminal(chart, 60, 12);
  EXPECT_EQ(Count(text, "*"), 2);
  chart.curves[0].points.resize(4);
  const auto empty = DrawCharts({chart});
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(DrawInTerminal(chart, 60, 12), "(nothing to draw)\n");
}

TEST(ChartTest, DrawsInATerminal) {
  Chart chart = Example();
  chart.mark = {1e-2, "here"};
  const std::string text = DrawInTerminal(chart, 50, 11);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), 1U + 11 + 3 + 1);
  EXPECT_EQ(lines[0], "loss");
  EXPECT_EQ(lines[1], "       3 |*                   |");
  EXPECT_EQ(lines[6], "       2 |                    *");
  EXPECT_EQ(lines[11], "       1 |                    |                  *");
  EXPECT_EQ(lines[12], "         +----------------------------------------");
  EXPECT_THAT(lines[13], StartsWith("         0.001 "));
  for (const std::string& line : lines) EXPECT_LE(line.size(), 50U);
}

TEST(ChartTest, AContourMapHasItsPathsStartAndMinima) {
  const LandscapeInfo& landscape = InfoOf(Landscape::kHimmelblau);
  std::vector<NamedPath> paths;
  for (int i = 0; i < 7; ++i) {
    paths.push_back({"walk" + std::to_string(i), {{0, 0}, {1, 1.0 + i}}});
  }
  const auto one = DrawContourMaps(landscape, absl::MakeSpan(paths).first(6));
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(Count(*one, "<title>gnuplot_plot_1a</title>"), 0);
  EXPECT_THAT(*one, HasSubstr("walk5"));
  const auto two = DrawContourMaps(landscape, paths);
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_THAT(*two, HasSubstr("walk6"));
  // A path that leaves the map, and one without an end.
  const std::vector<NamedPath> odd = {{"far", {{0, 0}, {1e30, -1e30}}}, {"none", {}}};
  EXPECT_TRUE(DrawContourMaps(landscape, odd).ok());
}

TEST(GnuplotTest, FailuresSayWhatItSaid) {
  const auto failed = RunGnuplot("plot nonsense(\n");
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(std::string(failed.status().message()), HasSubstr("gnuplot failed: "));
}

TEST(GnuplotTest, WhereItIsMissingSaysWhereItIsToBeHad) {
  const std::string path = getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const absl::Status status = CheckGnuplot();
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(std::string(status.message()), HasSubstr("gnuplot-nox"));
  EXPECT_TRUE(CheckGnuplot().ok());
}

}  // namespace
}  // namespace gradd::ctl
