#include "ctl/standings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

using testing::ElementsAre;

Racer MakeRacer(const std::string& name, const std::vector<double>& losses,
                v1::TrialState state = v1::TRIAL_STATE_FINISHED) {
  Racer racer;
  racer.name = name;
  racer.rate = 0.01;
  racer.rate_was_found = name == "adam";
  racer.record.state = state;
  for (const double loss : losses) {
    v1::TrialStep step;
    step.set_step(static_cast<int64_t>(racer.record.steps.size()) + 1);
    step.set_loss(loss);
    step.set_smoothed_loss(loss);
    step.set_seconds(0.5 * static_cast<double>(step.step()));
    racer.record.steps.push_back(step);
  }
  return racer;
}

std::vector<Racer> Race() {
  return {MakeRacer("sgd", {3, 2}), MakeRacer("wild", {3}, v1::TRIAL_STATE_DIVERGED),
          MakeRacer("adam", {3, 1}), MakeRacer("wilder", {}, v1::TRIAL_STATE_DIVERGED)};
}

TEST(StandingsTest, TheLeastLossComesFirstAndWhoFellLast) {
  const std::vector<Racer> race = Race();
  std::vector<std::string> names;
  for (const Racer* racer : Standings(race)) names.push_back(racer->name);
  EXPECT_THAT(names, ElementsAre("adam", "sgd", "wild", "wilder"));
  EXPECT_EQ(StandingsLine(race), "adam 1.0000, sgd 2.0000, wild diverged, wilder diverged");
}

TEST(StandingsTest, WhoEndsFarAboveItsBeginHasDiverged) {
  EXPECT_EQ(StandingsLine({MakeRacer("wild", {3, 1e28}), MakeRacer("sgd", {3, 4})}),
            "sgd 4.0000, wild diverged");
}

TEST(StandingsTest, BeforeTheFirstStepAllAreEqual) {
  EXPECT_EQ(StandingsLine({MakeRacer("a", {}, v1::TRIAL_STATE_RUNNING),
                           MakeRacer("b", {}, v1::TRIAL_STATE_RUNNING)}),
            "a -, b -");
}

TEST(StandingsTest, TheTableSaysWhichRatesWereFound) {
  EXPECT_EQ(StandingsTable({MakeRacer("sgd", {2}), MakeRacer("adam", {1})}),
            "OPTIMIZER  PLACE    LOSS          LR  STEP    TIME  STATE\n"
            "adam           1  1.0000  0.01 found     1  0.50 s  finished\n"
            "sgd            2  2.0000        0.01     1  0.50 s  finished\n");
}

TEST(StandingsTest, AGuessIsNoFind) {
  Racer racer = MakeRacer("adam", {1});
  racer.rate_is_a_guess = true;
  EXPECT_THAT(StandingsTable({racer}), testing::HasSubstr("0.01 guess"));
  EXPECT_EQ(nlohmann::json::parse(
                StandingsJson("r", {racer}))["standings"][0]["learning_rate_is_a_guess"],
            true);
}

TEST(StandingsTest, CsvAndJsonHaveEveryStep) {
  const std::vector<Racer> race = Race();
  EXPECT_EQ(StandingsCsv(race),
            "optimizer,learning_rate,step,loss,smoothed_loss,seconds\n"
            "\"sgd\",0.01,1,3,3,0.500000\n\"sgd\",0.01,2,2,2,1.000000\n"
            "\"wild\",0.01,1,3,3,0.500000\n"
            "\"adam\",0.01,1,3,3,0.500000\n\"adam\",0.01,2,1,1,1.000000\n");
  const auto json = nlohmann::json::parse(StandingsJson("runs/r", race));
  EXPECT_EQ(json["run"], "runs/r");
  EXPECT_EQ(json["standings"][0]["optimizer"], "adam");
  EXPECT_EQ(json["standings"][0]["steps"][1]["loss"], 1);
  EXPECT_EQ(json["standings"][3]["state"], "diverged");
}

TEST(StandingsTest, ChartsHaveACurveForEach) {
  const std::vector<Chart> charts = RaceCharts("r", Race());
  ASSERT_EQ(charts.size(), 2U);
  EXPECT_EQ(charts[0].curves.size(), 4U);
  EXPECT_EQ(charts[0].curves[2].name, "adam (0.01)");
  EXPECT_EQ(charts[0].curves[2].points[1], (std::pair<double, double>(2, 1)));
  EXPECT_EQ(charts[1].curves[2].points[1], (std::pair<double, double>(1, 1)));
}

}  // namespace
}  // namespace gradd::ctl
