#include "worker/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/worker/data/files.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class WorkerOptionsTest : public testing::Test {
 protected:
  std::optional<int> Parse(std::vector<const char*> arguments) {
    options_ = WorkerOptions();
    arguments.insert(arguments.begin(), "gradworker");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const std::optional<int> exit_code =
        ParseWorkerOptions(static_cast<int>(arguments.size()), arguments.data(), &options_);
    output_ = testing::internal::GetCapturedStdout() + testing::internal::GetCapturedStderr();
    return exit_code;
  }

  WorkerOptions options_;
  std::string output_;
};

TEST_F(WorkerOptionsTest, DefaultsNeedNoMoreThanARun) {
  ASSERT_EQ(Parse({"--run", "demo"}), std::nullopt) << output_;
  EXPECT_EQ(options_.server, "127.0.0.1:50051");
  EXPECT_EQ(options_.run, "demo");
  EXPECT_EQ(options_.worker, "w0");
  EXPECT_EQ(options_.batch, 64);
  EXPECT_TRUE(options_.evaluates());
  EXPECT_EQ(options_.data.standardization, std::nullopt);
}

TEST_F(WorkerOptionsTest, EveryFlagArrives) {
  ASSERT_EQ(Parse({"--server",
                   "host:1",
                   "--run",
                   "r",
                   "--worker",
                   "id",
                   "--rank",
                   "1",
                   "--workers",
                   "3",
                   "--model",
                   "mlp",
                   "--hidden",
                   "256,128",
                   "--data",
                   "idx",
                   "--train-images",
                   "a",
                   "--train-labels",
                   "b",
                   "--test-images",
                   "c",
                   "--test-labels",
                   "d",
                   "--batch",
                   "full",
                   "--steps",
                   "9",
                   "--seed",
                   "5",
                   "--threads",
                   "2",
                   "--eval-every",
                   "7",
                   "--delay",
                   "30",
                   "--give-up-seconds",
                   "4",
                   "--classes",
                   "12",
                   "--standardize",
                   "feature"}),
            std::nullopt)
      << output_;
  EXPECT_EQ(options_.server, "host:1");
  EXPECT_EQ(options_.worker, "id");
  EXPECT_EQ(options_.rank, 1);
  EXPECT_EQ(options_.workers, 3);
  EXPECT_EQ(options_.model.kind, ModelKind::kMlp);
  EXPECT_THAT(options_.model.hidden, ElementsAre(256, 128));
  EXPECT_EQ(options_.data.kind, DataKind::kIdx);
  EXPECT_EQ(options_.data.train_images, "a");
  EXPECT_EQ(options_.data.train_labels, "b");
  EXPECT_EQ(options_.data.test_images, "c");
  EXPECT_EQ(options_.data.test_labels, "d");
  EXPECT_EQ(options_.batch, 0);
  EXPECT_EQ(options_.steps, 9);
  EXPECT_EQ(options_.seed, 5);
  EXPECT_EQ(options_.data.seed, 5);
  EXPECT_EQ(options_.threads, 2);
  EXPECT_EQ(options_.eval_every, 7);
  EXPECT_EQ(options_.delay, absl::Milliseconds(30));
  EXPECT_EQ(options_.give_up_after, absl::Seconds(4));
  EXPECT_EQ(options_.data.classes, 12);
  EXPECT_EQ(options_.data.standardization, Standardization::kFeature);
  EXPECT_FALSE(options_.evaluates());
}

TEST_F(WorkerOptionsTest, EncodingsArriveWithASeedThatDiffersByRank) {
  ASSERT_EQ(Parse({"--run", "r"}), std::nullopt) << output_;
  EXPECT_EQ(options_.push_encoding.kind, PushEncoding::Kind::kFloat32);
  EXPECT_EQ(options_.parameter_encoding, v1::ENCODING_FLOAT32);
  const uint64_t seed_of_rank_zero = options_.push_encoding.seed;
  ASSERT_EQ(Parse({"--run", "r", "--rank", "1", "--workers", "2", "--push-encoding", "top-k",
                   "--fraction", "0.05", "--parameter-encoding", "bfloat16"}),
            std::nullopt)
      << output_;
  EXPECT_EQ(options_.push_encoding.kind, PushEncoding::Kind::kTopK);
  EXPECT_EQ(options_.push_encoding.fraction, 0.05);
  EXPECT_EQ(options_.parameter_encoding, v1::ENCODING_BFLOAT16);
  EXPECT_NE(options_.push_encoding.seed, seed_of_rank_zero);
}

TEST_F(WorkerOptionsTest, OnlyRankZeroEvaluatesUnlessToldOtherwise) {
  ASSERT_EQ(Parse({"--run", "r", "--rank", "1", "--workers", "2", "--evaluate", "yes"}),
            std::nullopt);
  EXPECT_TRUE(options_.evaluates());
  ASSERT_EQ(Parse({"--run", "r", "--evaluate", "no"}), std::nullopt);
  EXPECT_FALSE(options_.evaluates());
}

TEST_F(WorkerOptionsTest, LinearModelsReadTargetsInsteadOfClasses) {
  ASSERT_EQ(Parse({"--run", "r", "--model", "linear", "--data", "csv", "--train-csv", "f",
                   "--label-column", "price", "--csv-header", "yes"}),
            std::nullopt);
  EXPECT_TRUE(options_.data.regression);
  EXPECT_EQ(options_.data.label_column, "price");
  EXPECT_EQ(options_.data.csv_header, CsvOptions::Header::kYes);
}

TEST_F(WorkerOptionsTest, TheCommandLineCountsBeforeTheFileBeforeTheEnvironment) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("config", "run=file\nbatch=7\n");
  setenv("GRADD_RUN", "environment", 1);
  setenv("GRADD_BATCH", "9", 1);
  setenv("GRADD_EVAL_EVERY", "33", 1);
  setenv("GRADD_HIDDEN", "4,5", 1);
  setenv("GRADD_MODEL", "mlp", 1);
  const std::optional<int> exit_code = Parse({"--run", "line", "--config", file.c_str()});
  for (const char* name :
       {"GRADD_RUN", "GRADD_BATCH", "GRADD_EVAL_EVERY", "GRADD_HIDDEN", "GRADD_MODEL"}) {
    unsetenv(name);
  }
  ASSERT_EQ(exit_code, std::nullopt) << output_;
  EXPECT_EQ(options_.run, "line");
  EXPECT_EQ(options_.batch, 7);
  EXPECT_EQ(options_.eval_every, 33);
  EXPECT_EQ(options_.model.kind, ModelKind::kMlp);
  EXPECT_THAT(options_.model.hidden, ElementsAre(4, 5));
}

TEST_F(WorkerOptionsTest, HelpSaysWhatTheExitCodesMean) {
  EXPECT_EQ(Parse({"--help"}), 0);
  EXPECT_THAT(output_, HasSubstr("Exit codes: 0"));
  EXPECT_EQ(Parse({"--version"}), 0);
  EXPECT_THAT(output_, HasSubstr("gradworker "));
}

TEST_F(WorkerOptionsTest, PrintingTheLayoutNeedsNoRun) {
  EXPECT_EQ(Parse({"--print-layout"}), std::nullopt);
  EXPECT_TRUE(options_.print_layout);
}

TEST_F(WorkerOptionsTest, WrongUsageIsSaidInOneLineAndEndsWithTwo) {
  EXPECT_EQ(Parse({}), 2);
  EXPECT_THAT(output_, HasSubstr("--run is required"));
  EXPECT_EQ(Parse({"--run", "r", "--batch", "0"}), 2);
  EXPECT_THAT(
      output_,
      HasSubstr(
          "--batch: \"0\" found, full or a whole number from 1 to 9223372036854775807 expected"));
  EXPECT_EQ(Parse({"--run", "r", "--batch", "all"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--rank", "2", "--workers", "2"}), 2);
  EXPECT_THAT(output_, HasSubstr("--rank: 2, between 0 and workers - 1 = 1 expected"));
  EXPECT_EQ(Parse({"--run", "r", "--workers", "0"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--model", "resnet"}), 2);
  EXPECT_THAT(output_, HasSubstr("\"resnet\" is none of landscape, linear, mlp, softmax"));
  EXPECT_EQ(Parse({"--run", "r", "--hidden", "a"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--push-encoding", "int4"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--parameter-encoding", "int8"}), 2);
  for (const char* fraction : {"0", "-1", "1.5"}) {
    EXPECT_EQ(Parse({"--run", "r", "--fraction", fraction}), 2);
    EXPECT_THAT(output_, HasSubstr("above 0 and up to 1 expected")) << fraction;
  }
  for (const char* fraction : {"nan", "1e400"}) {
    EXPECT_EQ(Parse({"--run", "r", "--fraction", fraction}), 2);
    EXPECT_THAT(output_, HasSubstr("a finite number up to 1.8e308 expected")) << fraction;
  }
  EXPECT_EQ(Parse({"--run", "r", "--eval-every", "-1"}), 2);
  EXPECT_THAT(output_, HasSubstr("--eval-every: -1 is outside [0, 9007199254740992]"));
  const std::string text(9000, 'x');
  EXPECT_EQ(Parse({"--run", "r", "--model", text.c_str()}), 2);
  EXPECT_LT(output_.size(), 300u);
  EXPECT_EQ(Parse({"--run", "r", "--steps", "-1"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--threads", "-1"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--delay", "-1"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--no-such-flag"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--model", "mlp"}), 2);
  EXPECT_THAT(output_, HasSubstr("--model mlp needs --hidden"));
  EXPECT_EQ(Parse({"--run", "r", "--hidden", "8"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--model", "mlp", "--hidden", "0"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--classes", "-1"}), 2);
}

TEST_F(WorkerOptionsTest, NumbersThatDoNotFitAreRefused) {
  EXPECT_EQ(Parse({"--run", "r", "--seed", "-1"}), 2);
  EXPECT_THAT(output_, HasSubstr("--seed: \"-1\" found, a whole number from 0 to "
                                 "18446744073709551615 expected"));
  EXPECT_EQ(Parse({"--run", "r", "--seed", "18446744073709551615"}), std::nullopt);
  for (const char* steps : {"99999999999999999999", "9007199254740993", "1e3", ""}) {
    EXPECT_EQ(Parse({"--run", "r", "--steps", steps}), 2) << steps;
    EXPECT_THAT(output_, HasSubstr("--steps"));
  }
}

TEST_F(WorkerOptionsTest, ALandscapeHasAStartAndNoise) {
  EXPECT_EQ(Parse({"--run", "r", "--model", "landscape", "--landscape", "monkey-saddle", "--start",
                   "-1.5,2", "--gradient-noise", "0.25"}),
            std::nullopt);
  EXPECT_EQ(options_.model.landscape, Landscape::kMonkeySaddle);
  EXPECT_EQ(options_.model.start, Point({-1.5, 2}));
  EXPECT_EQ(options_.data.kind, DataKind::kGradientNoise);
  EXPECT_EQ(options_.data.gradient_noise, 0.25F);
}

TEST_F(WorkerOptionsTest, OptionsThatDoNotFitALandscapeAreRefused) {
  EXPECT_EQ(Parse({"--run", "r", "--landscape", "bowl"}), 2);
  EXPECT_THAT(output_, HasSubstr("--landscape belongs to --model landscape"));
  const auto refused = [&](std::vector<const char*> more) {
    std::vector<const char*> arguments = {"--run", "r", "--model", "landscape"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(Parse(arguments), 2);
    return output_;
  };
  EXPECT_THAT(refused({"--landscape", "hill"}), HasSubstr("\"hill\" is none of beale, bowl"));
  EXPECT_THAT(refused({"--start", "1"}), HasSubstr("--start: 1 numbers found, X,Y expected"));
  EXPECT_THAT(refused({"--start", "1,2,3"}), HasSubstr("--start: 3 numbers found"));
  EXPECT_THAT(refused({"--data", "synthetic"}), HasSubstr("--data: found, none expected"));
  EXPECT_THAT(refused({"--noise", "1"}), HasSubstr("and a landscape has no data"));
  EXPECT_THAT(refused({"--hidden", "3"}), HasSubstr("--hidden belongs to --model mlp"));
}

TEST_F(WorkerOptionsTest, OptionsOfOtherDataAreRefused) {
  EXPECT_EQ(Parse({"--run", "r", "--train-csv", "f"}), 2);
  EXPECT_THAT(output_,
              HasSubstr("--train-csv belongs to --data csv, and this is --data fashion-mnist"));
  EXPECT_EQ(Parse({"--run", "r", "--data", "csv", "--features", "3", "--train-csv", "f"}), 2);
  EXPECT_EQ(Parse({"--run", "r", "--data", "csv"}), 2);
  EXPECT_THAT(output_, HasSubstr("--data csv needs --train-csv"));
  EXPECT_EQ(Parse({"--run", "r", "--data", "idx", "--train-images", "a", "--train-labels", "b",
                   "--test-images", "c"}),
            2);
}

}  // namespace
}  // namespace gradd
