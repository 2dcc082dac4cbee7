#include "cli/program_options.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace gradd {
namespace {

class ConfigFileTest : public testing::Test {
 protected:
  // What is wrong with these arguments; empty if nothing is.
  std::string Parse(std::vector<std::string> arguments) {
    CLI::App app("", "program");
    app.add_option("--number", number_);
    AddConfigOption(&app, "PROGRAM_CONFIG");
    try {
      app.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      return ParseErrorText(app, error);
    }
    return "";
  }
  std::string Write(const std::string& text) const {
    // Tests of this fixture run in processes of their own, at the same time.
    const std::string path =
        testing::TempDir() + "/program-options-" + std::to_string(getpid()) + ".toml";
    std::ofstream(path) << text;
    written_.push_back(path);
    return path;
  }

  ~ConfigFileTest() override {
    for (const std::string& path : written_) std::remove(path.c_str());
  }
  mutable std::vector<std::string> written_;
  int number_ = 0;
};

TEST(RefuseEmptyValuesTest, AnOptionThatIsGivenHasAValue) {
  const auto parse = [](std::vector<std::string> arguments) -> std::string {
    CLI::App app("", "program");
    int number = 7;
    std::string text;
    std::string spared;
    std::vector<double> list;
    bool flag = false;
    app.add_option("--number", number)->check(CLI::Range(0, 9));
    app.add_option("--list", list)->delimiter(',');
    app.add_option("--spared", spared);
    app.add_flag("--flag", flag);
    CLI::App* command = app.add_subcommand("command");
    command->add_option("PLACE", text);
    command->add_option("--text", text);
    RefuseEmptyValues(&app, {"--spared"});
    std::reverse(arguments.begin(), arguments.end());
    try {
      app.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
      return ParseErrorText(app, error);
    }
    return "";
  };
  EXPECT_NE(parse({"--number", ""}).find("--number: "), std::string::npos);
  EXPECT_EQ(parse({"--list", ""}),
            "--list: an empty value found; leave the option out for its default");
  EXPECT_NE(parse({"--list="}), "");
  EXPECT_EQ(parse({"command", "--text", ""}),
            "--text: an empty value found; leave the option out for its default");
  EXPECT_EQ(parse({"command", ""}),
            "PLACE: an empty value found; leave the option out for its default");
  EXPECT_EQ(parse({"--number", "8", "--list", "1,2", "--flag", "--spared", "", "command", "x"}),
            "");
}

TEST(CheckNumberTest, SaysWhatIsFoundAndExpected) {
  EXPECT_EQ(CheckNumber("1e-5"), "");
  EXPECT_EQ(CheckNumber(""), "") << "for RefuseEmptyValues()";
  EXPECT_EQ(CheckNumber("1e400"), "\"1e400\" found, a finite number up to 1.8e308 expected");
  EXPECT_EQ(CheckNumber("x"), "\"x\" found, a finite number up to 1.8e308 expected");
  EXPECT_LT(CheckNumber(std::string(9000, 'x')).size(), 200u);
  EXPECT_LT(CheckWhole<int>(std::string(9000, 'x')).size(), 200u);
}

TEST(BetweenTest, SaysTheRange) {
  const auto check = Between<int64_t>(0, 1024);
  EXPECT_EQ(check("1024"), "");
  EXPECT_EQ(check(""), "") << "for RefuseEmptyValues()";
  EXPECT_EQ(check("-1"), "-1 is outside [0, 1024]");
  EXPECT_EQ(check("1025"), "1025 is outside [0, 1024]");
  EXPECT_EQ(check("x"), CheckWhole<int64_t>("x"));
}

TEST(VariableOfTest, IsTheOptionInCapitals) { EXPECT_EQ(VariableOf("max-runs"), "GRADD_MAX_RUNS"); }

TEST_F(ConfigFileTest, GivesOptions) {
  EXPECT_EQ(Parse({"--config=" + Write("number=7\n")}), "");
  EXPECT_EQ(number_, 7);
}

TEST_F(ConfigFileTest, CanBeNamedByTheProgramsOwnVariable) {
  setenv("PROGRAM_CONFIG", Write("number=8\n").c_str(), 1);
  EXPECT_EQ(Parse({}), "");
  EXPECT_EQ(number_, 8);
  setenv("PROGRAM_CONFIG", "/nowhere/config", 1);
  EXPECT_NE(Parse({}).find("/nowhere/config"), std::string::npos);
  setenv("PROGRAM_CONFIG", "", 1);
  EXPECT_EQ(Parse({}), "");
  unsetenv("PROGRAM_CONFIG");
}

TEST_F(ConfigFileTest, UnknownKeysAreNamedWithTheFile) {
  const std::string path = Write("number=7\nnumbr=8\n");
  EXPECT_EQ(Parse({"--config=" + path}), path + ": unknown option \"numbr\"");
  setenv("PROGRAM_CONFIG", path.c_str(), 1);
  EXPECT_EQ(Parse({}), path + ": unknown option \"numbr\"");
  unsetenv("PROGRAM_CONFIG");
}

}  // namespace
}  // namespace gradd
