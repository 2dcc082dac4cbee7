#include "cli/program_options.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
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
