#include "ctl/command_line.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "ctl/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace gradd::ctl {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

absl::StatusOr<CommandLine> Parse(std::vector<std::string> args) {
  return ParseCommandLine(std::move(args), "ada");
}

// An environment variable for the time of one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* const name_;
};

TEST(CommandLineTest, DefaultsAreThoseOfTheHelp) {
  const absl::StatusOr<CommandLine> line = Parse({"watch", "fashion"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, Command::kWatch);
  EXPECT_EQ(line->run, "fashion");
  EXPECT_EQ(line->server, "127.0.0.1:50051");
  EXPECT_EQ(line->timeout, absl::Seconds(10));
  EXPECT_EQ(line->interval, absl::Seconds(1));
  EXPECT_EQ(line->reconnect, absl::Seconds(60));
  EXPECT_EQ(line->author, "ada");
  EXPECT_FALSE(line->json);
}

TEST(CommandLineTest, CommonOptionsGoBeforeOrAfterTheCommand) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--json", "--server", "h:1", "list"},
        std::vector<std::string>{"list", "--json", "--server", "h:1"}}) {
    const absl::StatusOr<CommandLine> line = Parse(args);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_TRUE(line->json);
    EXPECT_EQ(line->server, "h:1");
  }
}

TEST(CommandLineTest, ListsArriveAsTheyAreWritten) {
  const std::string parts = R"([{"steps": 5, "schedule": {"constant": {}}}, {}])";
  for (const Assignment& field :
       {Assignment("points", "0:1,10:0.5"), Assignment("milestones", "1,2"),
        Assignment("milestones", "[1, 2]"), Assignment("parts", parts)}) {
    const absl::StatusOr<CommandLine> line =
        Parse({"create", "x", "--layout", "l.json", "--learning-rate", "1", "--schedule",
               "cosine-restarts", "--" + field.first, field.second});
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->new_run.schedule, "cosine-restarts");
    EXPECT_THAT(line->new_run.fields, Contains(field));
  }
}

TEST(CommandLineTest, CreateCollectsTheFieldsThatWereGiven) {
  const absl::StatusOr<CommandLine> line = Parse({"create",
                                                  "x",
                                                  "--layout",
                                                  "l.json",
                                                  "--optimizer",
                                                  "rmsprop",
                                                  "--rho",
                                                  "0.9",
                                                  "--centered",
                                                  "--learning-rate",
                                                  "0.01",
                                                  "--schedule",
                                                  "exponential",
                                                  "--decay-rate",
                                                  "0.5",
                                                  "--staircase",
                                                  "--workers",
                                                  "2",
                                                  "--max-steps",
                                                  "100",
                                                  "--weight-decay",
                                                  "0.1",
                                                  "--decoupled-weight-decay"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->layout, "l.json");
  EXPECT_EQ(line->new_run.run, "x");
  EXPECT_EQ(line->new_run.optimizer, "rmsprop");
  EXPECT_EQ(line->new_run.schedule, "exponential");
  EXPECT_EQ(line->new_run.policy, "");
  EXPECT_THAT(
      line->new_run.fields,
      UnorderedElementsAre(Pair("decay", "0.9"), Pair("centered", "true"),
                           Pair("learning-rate", "0.01"), Pair("decay-rate", "0.5"),
                           Pair("staircase", "true"), Pair("workers", "2"), Pair("steps", "100"),
                           Pair("weight-decay", "0.1"), Pair("weight-decay-mode", "decoupled")));
}

TEST(CommandLineTest, CreateNeedsALayoutAndALearningRateOrASpec) {
  EXPECT_EQ(ExitCodeOf(Parse({"create", "x", "--learning-rate", "1"}).status()), kExitUsage);
  EXPECT_EQ(ExitCodeOf(Parse({"create", "x", "--layout", "-"}).status()), kExitUsage);
  EXPECT_TRUE(Parse({"create", "x", "--layout", "-", "--learning-rate", "1"}).ok());
  EXPECT_TRUE(Parse({"create", "x", "--layout", "-", "--optimizer", "dog"}).ok());
  EXPECT_TRUE(Parse({"create", "x", "--spec", "-"}).ok());
  EXPECT_EQ(ExitCodeOf(Parse({"create", "x", "--spec", "-", "--steps", "1"}).status()), kExitUsage);
  EXPECT_EQ(ExitCodeOf(Parse({"create", "x", "--spec", "-", "--async"}).status()), kExitUsage);
}

TEST(CommandLineTest, SetTakesAnyNumberOfAssignments) {
  const absl::StatusOr<CommandLine> line =
      Parse({"set", "x", "learning-rate=0.1", "max-steps=5", "--author", "grace"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->changes, ElementsAre(Pair("learning-rate", "0.1"), Pair("max-steps", "5")));
  EXPECT_EQ(line->author, "grace");
  EXPECT_EQ(ExitCodeOf(Parse({"set", "x"}).status()), kExitUsage);
  EXPECT_EQ(ExitCodeOf(Parse({"set", "x", "learning-rate"}).status()), kExitUsage);
}

TEST(CommandLineTest, NegativeAndExponentialNumbersAreValues) {
  const absl::StatusOr<CommandLine> line =
      Parse({"create", "x", "--layout", "-", "--learning-rate", "-1e-3"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->new_run.fields, ElementsAre(Pair("learning-rate", "-1e-3")));
}

TEST(CommandLineTest, CommonOptionsCanBeEnvironmentVariables) {
  const Variable server("GRADD_SERVER", "h:2");
  const Variable json("GRADD_JSON", "true");
  const Variable timeout("GRADD_TIMEOUT", "3s");
  const Variable author("GRADD_AUTHOR", "grace");
  const absl::StatusOr<CommandLine> line = Parse({"pause", "x"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->server, "h:2");
  EXPECT_TRUE(line->json);
  EXPECT_EQ(line->timeout, absl::Seconds(3));
  EXPECT_EQ(line->author, "grace");
  EXPECT_EQ(Parse({"list", "--server", "h:3"})->server, "h:3");
}

TEST(CommandLineTest, VariablesOfOtherProgramsAreNotRead) {
  const Variable workers("GRADD_WORKERS", "7");
  const Variable steps("GRADD_STEPS", "7");
  const Variable seed("GRADD_SEED", "nonsense");
  const Variable config("GRADD_CONFIG", "/nowhere/gradd.toml");
  const absl::StatusOr<CommandLine> line =
      Parse({"create", "x", "--layout", "-", "--learning-rate", "1"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->new_run.fields, ElementsAre(Pair("learning-rate", "1")));
}

TEST(CommandLineTest, CreateMayTakeLongerThanOtherCommands) {
  const std::vector<std::string> create = {"create", "x", "--spec", "-"};
  EXPECT_EQ(Parse(create)->timeout, absl::Minutes(10));
  const Variable timeout("GRADD_TIMEOUT", "3s");
  EXPECT_EQ(Parse(create)->timeout, absl::Seconds(3));
}

TEST(CommandLineTest, NamesThatCannotBeSentAreRefusedHere) {
  EXPECT_EQ(Parse({"pause", "x", "--author", "a\xff\n"}).status().message(),
            "--author: \"a\\xff\\n\" is not UTF-8 of characters that are seen");
  EXPECT_EQ(ExitCodeOf(Parse({"show", "\xff"}).status()), kExitUsage);
}

TEST(CommandLineTest, OptionsCanComeFromAFile) {
  const std::string path = ::testing::TempDir() + "/gradctl.toml";
  std::ofstream(path) << "server = \"h:4\"\n[watch]\ninterval = \"5s\"\n";
  const absl::StatusOr<CommandLine> line = Parse({"--config", path, "watch", "x"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->server, "h:4");
  EXPECT_EQ(line->interval, absl::Seconds(5));
  const Variable config("GRADCTL_CONFIG", path.c_str());
  EXPECT_EQ(Parse({"list"})->server, "h:4");
  EXPECT_EQ(Parse({"list"})->command, Command::kList);
}

TEST(CommandLineTest, MistakesAreUsageErrors) {
  const std::vector<std::vector<std::string>> mistakes = {
      {},
      {"lst"},
      {"list", "--frob"},
      {"show"},
      {"show", "a", "b"},
      {"show", ""},
      {"list", "show", "a"},
      {"pull", "x"},
      {"pull", "x", "--output", "a.f32", "--view", "side"},
      {"create", "x", "--layout", "-", "--learning-rate", "1", "--optimizer", "sdg"},
      {"list", "--timeout", "soon"},
      {"list", "--timeout", "0"},
      {"list", "--timeout"},
      {"watch", "x", "--interval", "-1"}};
  for (const std::vector<std::string>& args : mistakes) {
    EXPECT_EQ(ExitCodeOf(Parse(args).status()), kExitUsage) << ::testing::PrintToString(args);
  }
}

TEST(CommandLineTest, LongTextsAreCut) {
  const std::string text(9000, 'x');
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{text},
                                             {"list", text},
                                             {"list", "--" + text},
                                             {"list", "--timeout", text},
                                             {"create", "x", "--layout", "-", "--optimizer", text},
                                             {"pull", "x", "--output", "f", "--view", text},
                                             {"landscape", "bowl", "--steps", text},
                                             {"lr-find", "x", "--from", text},
                                             {"set", "x", text}}) {
    const absl::Status status = Parse(args).status();
    EXPECT_EQ(ExitCodeOf(status), kExitUsage) << args[0].substr(0, 20);
    EXPECT_EQ(std::string(status.message()).find(text.substr(0, 100)), std::string::npos)
        << args.back().substr(0, 20);
  }
}

TEST(CommandLineTest, ANumberBeyondADoubleIsRefused) {
  for (const char* value : {"1e400", "inf", "1e-400"}) {
    EXPECT_THAT(std::string(Parse({"lr-find", "x", "--from", value}).status().message()),
                HasSubstr("found, a finite number up to 1.8e308 expected"));
  }
}

TEST(CommandLineTest, AnUnknownCommandIsNamed) {
  EXPECT_EQ(Parse({"lst"}).status().message(),
            "unknown command or option \"lst\"; see gradctl --help");
}

TEST(CommandLineTest, HelpSaysHowEachMethodDecaysWeights) {
  const std::string help = Parse({"create", "--help"})->text;
  for (const char* expected :
       {"Pull towards zero [0.01 with adamw, adamaxw, nadamw; 0 with the others]",
        "[as the method's paper means it: decoupled with adamw, adamaxw, nadamw, radam,",
        "; coupled with the others]. Decoupled alone: adamw, adamaxw, nadamw; coupled alone: "
        "madgrad, ftrl"}) {
    EXPECT_NE(help.find(expected), std::string::npos) << expected;
  }
  EXPECT_EQ(help.find("[coupled]"), std::string::npos);
}

TEST(CommandLineTest, WordsForHowWeightsDecayDoNotContradictEachOther) {
  const absl::Status status =
      Parse({"create", "x", "--layout", "-", "--learning-rate", "1", "--weight-decay", "0.1",
             "--decoupled-weight-decay", "--weight-decay-mode", "coupled"})
          .status();
  EXPECT_EQ(ExitCodeOf(status), kExitUsage);
  EXPECT_EQ(std::string(status.message()),
            "--decoupled-weight-decay and --weight-decay-mode \"coupled\" contradict each other");
}

TEST(CommandLineTest, HelpOfACommandListsItsOptions) {
  const absl::StatusOr<CommandLine> line = Parse({"create", "--help"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, Command::kText);
  EXPECT_THAT(line->text, HasSubstr("--nesterov-form"));
  EXPECT_THAT(line->text, HasSubstr("--optimizer KIND"));
  EXPECT_THAT(line->text, HasSubstr("GRADD_SERVER"));
}

}  // namespace
}  // namespace gradd::ctl
