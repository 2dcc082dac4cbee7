#include "ctl/history.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "ctl/compare.h"
#include "ctl/history_picture.h"
#include "ctl/history_table.h"
#include "ctl/status.h"
#include "ctl/svg_plot.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/ctl/fake_console.h"
#include "tests/ctl/fake_server.h"

namespace gradd::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

v1::History HistoryOf(std::vector<double> losses) {
  v1::History history;
  history.set_steps_per_point(1);
  v1::StepPoints& steps = *history.mutable_steps();
  int64_t step = 0;
  for (const double loss : losses) {
    steps.add_timelines(1);
    steps.add_steps(++step);
    steps.add_times(1.7e9 + 0.25 * static_cast<double>(step));
    steps.add_losses(loss);
    steps.add_smoothed_losses(loss);
    steps.add_learning_rates(0.1);
    steps.add_gradient_norms(2.5);
    steps.add_update_norms(0.25);
    steps.add_parameter_norms(1e30);
    steps.add_examples_per_second(128);
    steps.add_phases(std::isfinite(loss) ? v1::PHASE_DESCENDING : v1::PHASE_DIVERGING);
  }
  return history;
}

void AddEvaluation(double time, double loss, double accuracy, v1::History* history) {
  v1::EvaluationPoints& evaluations = *history->mutable_evaluations();
  evaluations.add_timelines(1);
  evaluations.add_steps(1);
  evaluations.add_times(time);
  evaluations.add_losses(loss);
  evaluations.add_accuracies(accuracy);
}

size_t Occurrences(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(HistoryTableTest, HasARowForEachStepAndEvaluationInTheOrderOfTime) {
  v1::History history = HistoryOf({0.5, std::numeric_limits<double>::infinity()});
  AddEvaluation(1.7e9 + 0.375, 0.75, 0.875, &history);
  AddEvaluation(1.7e9 + 9, 0.5, std::nan(""), &history);
  EXPECT_EQ(HistoryTable({{"a", history}}),
            "run,timeline,step,time,loss,smoothed_loss,learning_rate,gradient_norm,update_norm,"
            "parameter_norm,examples_per_second,phase,evaluation_loss,evaluation_accuracy\r\n"
            "a,1,1,2023-11-14T22:13:20.250Z,0.5,0.5,0.1,2.5,0.25,1e+30,128,descending,,\r\n"
            "a,1,1,2023-11-14T22:13:20.375Z,,,,,,,,,0.75,0.875\r\n"
            "a,1,2,2023-11-14T22:13:20.500Z,inf,inf,0.1,2.5,0.25,1e+30,128,diverging,,\r\n"
            "a,1,1,2023-11-14T22:13:29.000Z,,,,,,,,,0.5,\r\n");
  history.mutable_steps()->clear_phases();
  EXPECT_THAT(HistoryTable({{"a", history}}), HasSubstr("1e+30,128,,,\r\na,1,1"))
      << "of a server without phases";
  const std::string table = HistoryTable({{"a", history}});
  for (absl::string_view row : absl::StrSplit(table, "\r\n", absl::SkipEmpty())) {
    EXPECT_EQ(std::count(row.begin(), row.end(), ','), 13) << row;
  }
}

TEST(HistoryTableTest, QuotesWhatTheFormatWouldMisunderstand) {
  EXPECT_THAT(HistoryTable({{"a,\"b\"", HistoryOf({1})}}), HasSubstr("\r\n\"a,\"\"b\"\"\",1,1,"));
}

// Tags are closed in the order in which they were opened, and attributes are quoted.
void ExpectWellFormed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const size_t end = svg.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = svg.substr(at + 1, end - at - 1);
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    EXPECT_EQ(tag.find('<'), std::string::npos) << tag;
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), tag.substr(1));
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(HistoryPictureTest, HasAColourForEachRunAndNothingFromElsewhere) {
  v1::History history = HistoryOf({4, 3, 2, 1});
  AddEvaluation(1.7e9, 2, 0.5, &history);
  const std::string svg = HistorySvg({{"first", history}, {"second", HistoryOf({5, 4, 3})}});
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, StartsWith("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_THAT(svg, HasSubstr("History of 2 runs"));
  EXPECT_THAT(svg, HasSubstr(">first</text>"));
  EXPECT_THAT(svg, HasSubstr(">second</text>"));
  EXPECT_EQ(Occurrences(svg, "<path"), 6U);  // Smoothed, raw and rate of each.
  EXPECT_EQ(Occurrences(svg, "<circle"), 1U);
  EXPECT_THAT(svg, Not(HasSubstr("href")));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(HistoryPictureTest, TextsAreEscaped) {
  const std::string svg = HistorySvg({{"<a>&\"'\x01", HistoryOf({1, 2})}});
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, HasSubstr("&lt;a&gt;&amp;"));
  EXPECT_THAT(svg, Not(HasSubstr("\x01")));
}

TEST(HistoryPictureTest, WhatCannotBeDrawnInterruptsTheLine) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::string svg = HistorySvg({{"a", HistoryOf({1, 2, inf, 3, std::nan(""), 4})}});
  ExpectWellFormed(svg);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  const size_t begin = svg.find("<path d=\"");
  EXPECT_EQ(Occurrences(svg.substr(begin, svg.find('>', begin) - begin), "M"), 3U);
  for (const std::vector<double>& losses :
       {std::vector<double>{}, {0.0}, {-1, 2}, {inf}, {1e-300, 1e300}, {7, 7, 7}}) {
    const std::string other = HistorySvg({{"a", HistoryOf(losses)}});
    ExpectWellFormed(other);
    EXPECT_THAT(other, Not(HasSubstr("nan")));
    EXPECT_THAT(other, Not(HasSubstr("inf")));
  }
}

TEST(HistoryPictureTest, ANewTimelineBeginsALineOfItsOwn) {
  v1::History history = HistoryOf({1, 2, 3, 4});
  history.mutable_steps()->set_steps(2, 1);
  history.mutable_steps()->set_steps(3, 2);
  const std::string svg = HistorySvg({{"a", history}});
  const size_t begin = svg.find("<path d=\"");
  EXPECT_EQ(Occurrences(svg.substr(begin, svg.find('>', begin) - begin), "M"), 2U);
}

TEST(SvgPlotTest, TicksAreRoundNumbers) {
  SvgPlot plot;
  plot.lines.push_back({"#000000", {{0, 0.31}, {120'000, 0.3142}}});
  std::string svg = DrawSvg("t", {plot}, {});
  for (const char* const tick : {">20k<", ">100k<", ">120k<", ">0.311<", ">0.314<"}) {
    EXPECT_THAT(svg, HasSubstr(tick));
  }
  plot.log_y = true;
  plot.lines = {{"#000000", {{0, 0.001}, {10, 1000}}}};
  svg = DrawSvg("t", {plot}, {});
  for (const char* const tick : {">0.001<", ">0.1<", ">1<", ">100<"}) {
    EXPECT_THAT(svg, HasSubstr(tick));
  }
}

class HistoryCommandTest : public ::testing::Test {
 protected:
  HistoryCommandTest() {
    AddRun("a", 0.5, "llm");
    AddRun("b", 0.25, "llm");
    AddRun("c", std::nan(""), "");
  }
  void AddRun(const std::string& id, double loss, const std::string& group) {
    v1::Run& run = server_.runs["runs/" + id];
    run.set_name("runs/" + id);
    run.mutable_optimizer()->mutable_adam();
    if (!group.empty()) (*run.mutable_labels())["group"] = group;
    v1::RunProgress& progress = *run.mutable_progress();
    progress.set_step(100);
    progress.set_learning_rate(0.001);
    progress.set_smoothed_loss(loss);
    progress.set_best_smoothed_loss(loss / 2);
    progress.set_best_step(80);
    progress.mutable_elapsed()->set_seconds(61);
    progress.set_examples_per_second(2500);
    progress.mutable_evaluation()->set_loss(0.625);
    server_.histories["runs/" + id] = HistoryOf({1, loss});
  }
  int Run(std::vector<std::string> args) {
    args.insert(args.begin(), {"--server", server_.address()});
    server_.Synchronize();
    const int code = console_.Run(args);
    server_.Synchronize();
    return code;
  }
  std::string PathOf(const std::string& name) { return testing::TempDir() + "/" + name; }
  std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  FakeServer server_;
  FakeConsole console_;
};

TEST_F(HistoryCommandTest, WritesTheTableToStandardOutput) {
  ASSERT_EQ(Run({"history", "a", "runs/b", "a", "--csv", "-"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out, HistoryTable({{"a", HistoryOf({1, 0.5})}, {"b", HistoryOf({1, 0.25})}}));
}

TEST_F(HistoryCommandTest, WritesFilesAndAsksForWhatIsWanted) {
  const std::string csv = PathOf("history.csv");
  const std::string svg = PathOf("history.svg");
  ASSERT_EQ(Run({"history", "--label", "group=llm", "--csv", csv, "--svg", svg, "--max-points", "7",
                 "--timeline", "2", "--first-step", "9"}),
            kExitOk)
      << console_.err;
  EXPECT_EQ(console_.out, "");
  EXPECT_EQ(Read(csv), HistoryTable({{"a", HistoryOf({1, 0.5})}, {"b", HistoryOf({1, 0.25})}}));
  EXPECT_THAT(Read(svg), HasSubstr("History of 2 runs"));
  ASSERT_EQ(server_.history_requests.size(), 2U);
  EXPECT_EQ(server_.history_requests[0].ShortDebugString(),
            "name: \"runs/a\" max_points: 7 timeline: 2 first_step: 9");
}

TEST_F(HistoryCommandTest, DrawsInTheTerminalOrPrintsJson) {
  ASSERT_EQ(Run({"history", "a", "b"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("smoothed loss"));
  EXPECT_THAT(console_.out, HasSubstr("* a\n  o b\n"));
  ASSERT_EQ(Run({"--json", "history", "a"}), kExitOk) << console_.err;
  const auto json = nlohmann::json::parse(console_.out);
  EXPECT_EQ(json["name"], "runs/a");
  EXPECT_EQ(json["history"]["steps"]["losses"][1], 0.5);
}

TEST_F(HistoryCommandTest, SaysWhatIsWrong) {
  EXPECT_EQ(Run({"history"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("RUN is missing"));
  EXPECT_EQ(Run({"history", "a", "--label", "group=llm"}), kExitUsage);
  EXPECT_EQ(Run({"history", "runs/"}), kExitUsage);
  EXPECT_EQ(Run({"history", "--label", "group=none"}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("no run has the label group=none"));
  EXPECT_EQ(Run({"history", "a", "missing", "--csv", PathOf("never.csv")}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("no run \"missing\""));
  EXPECT_EQ(Read(PathOf("never.csv")), "");
  EXPECT_EQ(Run({"history", "a", "--csv", PathOf("x"), "--svg", PathOf("x")}), kExitUsage);
  EXPECT_EQ(Run({"--json", "history", "a", "--csv", "-"}), kExitUsage);
  EXPECT_EQ(Run({"history", "a", "--max-points", "many"}), kExitUsage);
  server_.histories["runs/a"].mutable_steps()->add_losses(1);
  EXPECT_EQ(Run({"history", "a", "--csv", "-"}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("columns of different lengths"));
}

TEST_F(HistoryCommandTest, ComparesWithTheLowestLossFirst) {
  v1::Run& fresh = server_.runs["runs/fresh"];
  fresh.set_name("runs/fresh");
  ASSERT_EQ(Run({"compare", "c", "fresh", "a", "b"}), kExitOk) << console_.err;
  const std::vector<std::string> lines = absl::StrSplit(console_.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 5U) << console_.out;
  EXPECT_THAT(lines[0], StartsWith("RUN"));
  EXPECT_THAT(lines[1], StartsWith("b "));
  EXPECT_THAT(lines[2], StartsWith("a "));
  EXPECT_THAT(lines[3], StartsWith("c "));
  EXPECT_THAT(lines[4], StartsWith("fresh "));
  for (const char* const text :
       {"adam", "0.001", "100", "0.2500", "0.1250", "80", "0.6250", "1:01", "2.5k"}) {
    EXPECT_THAT(lines[1], HasSubstr(text));
  }
  ASSERT_EQ(Run({"--json", "compare", "--label", "group=llm"}), kExitOk) << console_.err;
  const std::vector<std::string> objects = absl::StrSplit(console_.out, '\n', absl::SkipEmpty());
  ASSERT_EQ(objects.size(), 2U);
  EXPECT_EQ(nlohmann::json::parse(objects[0])["name"], "runs/b");
  EXPECT_EQ(Run({"compare"}), kExitUsage);
  EXPECT_EQ(Run({"compare", "missing"}), kExitRefused);
}

}  // namespace
}  // namespace gradd::ctl
