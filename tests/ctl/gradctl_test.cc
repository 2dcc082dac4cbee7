// Whole commands against a server in this process.
#include "ctl/gradctl.h"

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "ctl/status.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/ctl/fake_console.h"
#include "tests/ctl/fake_server.h"

namespace gradd::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kLayout[] =
    R"({"tensors": [{"name": "w", "shape": [784, 10]}, {"name": "b", "shape": ["10"]}]})";

class GradctlTest : public ::testing::Test {
 protected:
  int Run(std::vector<std::string> args, const std::string& input = "") {
    args.insert(args.begin(), {"--server", server_.address()});
    server_.Synchronize();
    const int code = console_.Run(args, input);
    server_.Synchronize();
    return code;
  }

  // As a script reads it. Fails the test if it is not JSON.
  nlohmann::json Json(const std::string& text) {
    nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(json.is_discarded()) << text;
    return json;
  }

  void AddFashion() {
    v1::Run& run = server_.runs["runs/fashion"];
    run.set_name("runs/fashion");
    run.set_state(v1::RUN_STATE_RUNNING);
    run.set_max_steps(4000);
    run.set_parameter_count(7850);
    run.mutable_optimizer()->mutable_adam()->set_beta1(0.9);
    run.mutable_schedule()->set_learning_rate(0.001);
    run.mutable_policy()->mutable_synchronous()->set_workers(2);
    v1::Tensor& tensor = *run.mutable_layout()->add_tensors();
    tensor.set_name("w");
    tensor.add_shape(785);
    tensor.add_shape(10);
    run.mutable_progress()->set_step(1920);
    run.mutable_progress()->set_max_steps(4000);
    run.mutable_progress()->set_loss(0.3121);
    run.mutable_progress()->set_learning_rate(0.00081);
    run.mutable_progress()->mutable_evaluation()->set_accuracy(0.8792);
    v1::WorkerStatus& worker = *run.add_workers();
    worker.set_worker("w0");
    worker.set_state(v1::WORKER_STATE_WAITING);
    worker.set_last_sequence(1921);
    v1::Change& change = *run.add_history();
    change.set_field("schedule.learning_rate");
    change.set_old_value("0.002");
    change.set_new_value("0.001");
    change.set_author("grace");
  }

  FakeServer server_;
  FakeConsole console_;
};

TEST_F(GradctlTest, CreateSendsTheRunAndSaysWhatWasCreated) {
  ASSERT_EQ(Run({"create", "fashion", "--layout", "-", "--optimizer", "adam", "--beta1", "0.8",
                 "--learning-rate", "0.001", "--workers", "2", "--steps", "4000"},
                kLayout),
            kExitOk)
      << console_.err;
  EXPECT_EQ(console_.out, "fashion: created, 7,850 parameters in 2 tensors\n");
  ASSERT_THAT(server_.creates, SizeIs(1));
  const v1::CreateRunRequest& request = server_.creates[0];
  EXPECT_EQ(request.run_id(), "fashion");
  EXPECT_EQ(request.run().optimizer().adam().beta1(), 0.8);
  EXPECT_EQ(request.run().schedule().learning_rate(), 0.001);
  EXPECT_EQ(request.run().policy().synchronous().workers(), 2);
  EXPECT_EQ(request.run().max_steps(), 4000);
  EXPECT_EQ(request.run().layout().tensors(0).shape(1), 10);
}

TEST_F(GradctlTest, AQuorumIsCreatedChangedAndShown) {
  ASSERT_EQ(Run({"create", "x", "--layout", "-", "--learning-rate", "1", "--workers", "5",
                 "--quorum", "4", "--adaptive-grace", "--late-pushes", "carried"},
                kLayout),
            kExitOk)
      << console_.err;
  EXPECT_EQ(server_.creates.at(0).run().policy().synchronous().ShortDebugString(),
            "workers: 5 quorum: 4 adaptive_grace: true late_pushes: LATE_PUSHES_CARRIED");
  AddFashion();
  v1::Synchronous& policy = *server_.runs["runs/fashion"].mutable_policy()->mutable_synchronous();
  policy = server_.creates.at(0).run().policy().synchronous();
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("synchronous, workers 5, quorum 4, adaptive_grace true, "
                                      "late_pushes carried"));
  policy.mutable_grace()->set_seconds(90);
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("quorum 4, grace 1m30s"));

  ASSERT_EQ(Run({"set", "fashion", "grace=2s", "quorum=3"}), kExitOk) << console_.err;
  const v1::Synchronous& sent = server_.updates.at(0).run().policy().synchronous();
  EXPECT_EQ(sent.grace().seconds(), 2);
  EXPECT_EQ(sent.quorum(), 3);
  EXPECT_EQ(Run({"set", "fashion", "adaptive-grace=true", "grace=2s"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("only one of policy.synchronous.adaptive_grace and "
                                      "policy.synchronous.grace can be set"));
  ASSERT_EQ(Run({"set", "fashion", "grace=default", "adaptive-grace=true"}), kExitOk)
      << console_.err;
  EXPECT_EQ(Run({"create", "y", "--layout", "-", "--learning-rate", "1", "--quorum", "1", "--grace",
                 "1s", "--adaptive-grace"},
                kLayout),
            kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("only one of policy.synchronous.grace"));
}

TEST_F(GradctlTest, PoliciesAreChosenByTheirKind) {
  const auto create = [&](std::vector<std::string> options) {
    const std::string id = absl::StrCat("x", server_.creates.size());
    options.insert(options.begin(), {"create", id, "--layout", "-", "--learning-rate", "1"});
    return Run(options, kLayout);
  };
  ASSERT_EQ(create({"--policy", "bounded-staleness", "--staleness-bound", "3"}), kExitOk)
      << console_.err;
  EXPECT_EQ(server_.creates.at(0).run().policy().ShortDebugString(),
            "bounded_staleness { bound: 3 }");
  ASSERT_EQ(create({"--async", "--delay-compensation", "0.5", "--kept-steps", "2", "--old-bases",
                    "uncorrected"}),
            kExitOk)
      << console_.err;
  EXPECT_EQ(server_.creates.at(1).run().policy().ShortDebugString(),
            "asynchronous { delay_compensation { strength: 0.5 kept_steps: 2 old_bases: "
            "OLD_BASES_UNCORRECTED } }");
  ASSERT_EQ(create({"--policy", "asynchronous", "--age-decay", "0.1", "--age-cutoff", "8"}),
            kExitOk)
      << console_.err;
  EXPECT_EQ(server_.creates.at(2).run().policy().ShortDebugString(),
            "asynchronous { age_decay { alpha: 0.1 cutoff: 8 } }");
  EXPECT_EQ(create({"--staleness-bound", "3"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("--staleness-bound belongs to the policy bounded-staleness"));
  EXPECT_EQ(create({"--policy", "lucky"}), kExitUsage);
  EXPECT_EQ(create({"--policy", "synchronous", "--async"}), kExitUsage);

  AddFashion();
  *server_.runs["runs/fashion"].mutable_policy() = server_.creates.at(1).run().policy();
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("asynchronous, delay_compensation"));
  ASSERT_EQ(Run({"set", "fashion", "kept-steps=7"}), kExitOk) << console_.err;
  EXPECT_EQ(server_.updates.at(0).update_mask().paths(0),
            "policy.asynchronous.delay_compensation.kept_steps");
}

TEST_F(GradctlTest, ADataSetIsCreatedWithItsRunAndShowsWhatIsLeft) {
  ASSERT_EQ(
      Run({"create", "x", "--layout", "-", "--learning-rate", "1", "--async", "--examples", "60000",
           "--batch-size", "64", "--epochs", "3", "--data-seed", "7", "--most-skips", "5"},
          kLayout),
      kExitOk)
      << console_.err;
  EXPECT_EQ(server_.creates.at(0).run().data().ShortDebugString(),
            "examples: 60000 batch_size: 64 seed: 7 epochs: 3 most_skips: 5");
  AddFashion();
  v1::Run& run = server_.runs["runs/fashion"];
  *run.mutable_data() = server_.creates.at(0).run().data();
  v1::DataProgress& data = *run.mutable_progress()->mutable_data();
  data.set_epoch(1);
  data.set_epochs(3);
  data.set_epoch_examples_left(1200);
  data.set_used_batches(1857);
  data.set_batches(2814);
  data.set_leased_batches(4);
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("3 epochs of 60,000 examples in batches of 64"));
  EXPECT_THAT(console_.out, HasSubstr("epoch 2 of 3, 1,200 examples left; 1,857 of 2,814 batches "
                                      "used, 4 leased\n"));
  data.set_epoch(3);
  data.set_skipped_batches(3);
  data.add_last_skipped(17);
  data.add_last_skipped(4);
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("used up; 1,857 of 2,814 batches used, 4 leased; 3 given up "
                                      "since pushes with them were not finite: 17, 4, ..."));
  // It stays as it was created.
  EXPECT_EQ(Run({"set", "fashion", "epochs=4"}), kExitUsage);
}

// Two runs of the group llm, and one that is in none.
class LabelsTest : public GradctlTest {
 protected:
  LabelsTest() {
    AddFashion();
    for (const auto& [run_id, step] : {std::pair("embedding", 100), std::pair("head", 120)}) {
      v1::Run& run = server_.runs[absl::StrCat("runs/", run_id)];
      run.set_name(absl::StrCat("runs/", run_id));
      run.set_state(v1::RUN_STATE_RUNNING);
      run.mutable_optimizer()->mutable_adam();
      (*run.mutable_labels())["group"] = "llm";
      run.mutable_progress()->set_step(step);
      run.mutable_progress()->set_live_workers(2);
    }
    (*server_.runs["runs/head"].mutable_labels())["part"] = "head";
    server_.runs["runs/head"].mutable_progress()->set_reason("w1 computes");
  }
};

TEST_F(LabelsTest, CreateSendsThem) {
  ASSERT_EQ(Run({"create", "x", "--layout", "-", "--learning-rate", "1", "--label", "group=llm",
                 "--label", "part=a=b"},
                kLayout),
            kExitOk)
      << console_.err;
  const auto& labels = server_.creates.at(0).run().labels();
  ASSERT_EQ(labels.size(), 2U);
  EXPECT_EQ(labels.at("group"), "llm");
  EXPECT_EQ(labels.at("part"), "a=b");
}

TEST_F(LabelsTest, ListShowsAGroupAsOneLineWithItsSpreadOfSteps) {
  ASSERT_EQ(Run({"list", "--label", "group=llm"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out,
            "group=llm  2 runs  steps 100 to 120, 20 apart  2 running  4 workers\n"
            "  head: w1 computes\n");
  ASSERT_EQ(Run({"list", "--label", "group=llm", "--label", "part=head"}), kExitOk);
  EXPECT_THAT(console_.out, StartsWith("group=llm part=head  1 run  step 120  1 running"));
  ASSERT_EQ(Run({"list", "--label", "group=none"}), kExitOk);
  EXPECT_EQ(console_.out, "group=none  no runs\n");
  ASSERT_EQ(Run({"--json", "list", "--label", "group=llm"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["runs"].size(), 2U);
}

TEST_F(LabelsTest, CommandsGoToEveryRunThatHasThem) {
  ASSERT_EQ(Run({"pause", "--label", "group=llm"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out, "embedding: paused\nhead: paused\n");
  ASSERT_EQ(Run({"set", "--label", "group=llm", "max-steps=7"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out, "embedding: max-steps is now 7\nhead: max-steps is now 7\n");
  ASSERT_EQ(Run({"show", "--label", "part=head"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("group=llm part=head\n"));
  ASSERT_EQ(Run({"delete", "--label", "group=llm"}), kExitOk) << console_.err;
  EXPECT_THAT(server_.runs, SizeIs(1));
}

TEST_F(LabelsTest, WhatIsForOneRunSaysSo) {
  for (const char* const command : {"watch", "lr-find"}) {
    EXPECT_EQ(Run({command, "--label", "group=llm"}), kExitUsage);
    EXPECT_THAT(console_.err, HasSubstr("--label group=llm: 2 runs have it, and this is for one"));
  }
  EXPECT_EQ(Run({"race", "--label", "group=llm", "adam", "sgd:0.1"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("2 runs have it"));
}

TEST_F(LabelsTest, NamesWhatIsWrongWithThem) {
  EXPECT_EQ(Run({"pause", "--label", "group=none"}), kExitRefused);
  EXPECT_THAT(console_.err, HasSubstr("no run has the label group=none"));
  EXPECT_EQ(Run({"pause", "--label", "group"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("--label: \"group\" is not KEY=VALUE"));
  EXPECT_EQ(Run({"pause", "fashion", "--label", "group=llm"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("RUN and --label are given"));
  EXPECT_EQ(Run({"pause"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("expected a run's id, such as fashion, or --label"));
  EXPECT_EQ(Run({"set", "fashion"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("set needs FIELD=VALUE"));
  EXPECT_EQ(Run({"race", "fashion"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("race needs entries"));
}

TEST_F(LabelsTest, OneIsSetBesideThoseThatAreThere) {
  ASSERT_EQ(Run({"set", "head", "labels.tier=2", "labels.part="}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out, "head: labels.tier is now 2, labels.part is taken away\n");
  ASSERT_THAT(server_.updates, SizeIs(1));
  EXPECT_THAT(server_.updates[0].update_mask().paths(), ElementsAre("labels"));
  const auto& labels = server_.updates[0].run().labels();
  ASSERT_EQ(labels.size(), 2U);
  EXPECT_EQ(labels.at("group"), "llm");
  EXPECT_EQ(labels.at("tier"), "2");
}

TEST_F(GradctlTest, CreateIsTriedAgainUnderTheSameRequestId) {
  server_.unavailable_calls = 2;
  ASSERT_EQ(Run({"create", "x", "--layout", "-", "--learning-rate", "1"}, kLayout), kExitOk)
      << console_.err;
  ASSERT_THAT(server_.creates, SizeIs(3));
  EXPECT_FALSE(server_.creates[0].request_id().empty());
  EXPECT_EQ(server_.creates[0].request_id(), server_.creates[1].request_id());
  EXPECT_EQ(server_.creates[0].request_id(), server_.creates[2].request_id());
  ASSERT_EQ(Run({"create", "y", "--layout", "-", "--learning-rate", "1"}, kLayout), kExitOk);
  EXPECT_NE(server_.creates[0].request_id(), server_.creates[3].request_id());
}

TEST_F(GradctlTest, CreateTakesAWholeRunAsJson) {
  const std::string spec = absl::StrCat(
      R"({"layout": )", kLayout,
      R"(, "optimizer": {"ada_grad": {"epsilon": 1e-9}}, "schedule": {"learningRate": 0.5},)",
      R"( "policy": {"asynchronous": {}}, "lease_duration": "20s"})");
  ASSERT_EQ(Run({"create", "runs/whole", "--spec", "-"}, spec), kExitOk) << console_.err;
  const v1::CreateRunRequest& request = server_.creates.at(0);
  EXPECT_EQ(request.run_id(), "whole");
  EXPECT_EQ(request.run().optimizer().ada_grad().epsilon(), 1e-9);
  EXPECT_EQ(request.run().schedule().learning_rate(), 0.5);
  EXPECT_EQ(request.run().lease_duration().seconds(), 20);
}

TEST_F(GradctlTest, CreateOfAnExistingRunIsRefused) {
  AddFashion();
  EXPECT_EQ(Run({"create", "fashion", "--layout", "-", "--learning-rate", "1"}, kLayout),
            kExitRefused);
  EXPECT_EQ(console_.err, "gradctl: run \"fashion\" exists (ALREADY_EXISTS)\n");
  EXPECT_THAT(console_.out, IsEmpty());
}

TEST_F(GradctlTest, BadLayoutIsAUsageErrorThatNamesTheField) {
  EXPECT_EQ(Run({"create", "x", "--layout", "-", "--learning-rate", "1"},
                R"({"tensors": [{"nam": "w"}]})"),
            kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("standard input is not protobuf JSON of Layout, such as "
                                      "{\"tensors\": [{\"name\": \"text\"}]}"));
  EXPECT_THAT(console_.err, HasSubstr("nam"));
  EXPECT_EQ(Run({"create", "x", "--layout", "/nonexistent/layout", "--learning-rate", "1"}),
            kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("/nonexistent/layout"));
  EXPECT_THAT(server_.creates, IsEmpty());
}

TEST_F(GradctlTest, ADirectoryIsNoLayout) {
  for (const char* option : {"--layout", "--spec"}) {
    std::vector<std::string> args = {"create", "x", option, "."};
    if (args[2] == "--layout") args.insert(args.end(), {"--learning-rate", "1"});
    EXPECT_EQ(Run(args), kExitUsage);
    EXPECT_EQ(console_.err, "gradctl: cannot read .: Is a directory\n");
  }
}

// An earlier attempt of itself, a deletion, or the recovery of a run of that name.
TEST_F(GradctlTest, CreateWaitsForWhatTheServerIsAt) {
  for (const char* reason : {"RUN_BEING_CREATED", "RUN_BEING_DELETED", "RUN_RECOVERING"}) {
    server_.creates.clear();
    server_.unavailable_calls = 10;
    server_.unavailable_reason = reason;
    EXPECT_EQ(Run({"create", reason, "--layout", "-", "--learning-rate", "1"}, kLayout), kExitOk)
        << console_.err;
    EXPECT_THAT(server_.creates, SizeIs(11));
  }
}

TEST_F(GradctlTest, WhoeverOnlyAsksIsToldThatARunIsRecovered) {
  AddFashion();
  server_.unavailable_calls = 10;
  server_.unavailable_reason = "RUN_RECOVERING";
  EXPECT_EQ(Run({"show", "fashion"}), kExitUnreachable);
  EXPECT_GT(server_.unavailable_calls, 5);

  server_.unavailable_reason = "RUN_BEING_CREATED";
  EXPECT_EQ(Run({"show", "fashion"}), kExitOk) << "that takes a moment";
}

TEST_F(GradctlTest, ShowSaysHowManyChangesItLeavesOut) {
  AddFashion();
  v1::Run& run = server_.runs["runs/fashion"];
  for (int i = 0; i < 11; ++i) *run.add_history() = run.history(0);
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk);
  EXPECT_THAT(console_.out, HasSubstr("  and 2 earlier; --json shows all\n"));
}

TEST_F(GradctlTest, TheLearningRateHasNoDefault) {
  AddFashion();
  EXPECT_EQ(Run({"set", "fashion", "learning-rate=default"}), kExitUsage);
  EXPECT_EQ(console_.err,
            "gradctl: schedule.learning_rate: there is no default; a number expected\n");
  EXPECT_THAT(server_.updates, IsEmpty());
}

TEST_F(GradctlTest, ListShowsAllPagesInAlignedColumns) {
  AddFashion();
  v1::Run& second = server_.runs["runs/z-with-a-long-name"];
  second.set_name("runs/z-with-a-long-name");
  second.set_state(v1::RUN_STATE_PAUSED);
  ASSERT_EQ(Run({"list"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out,
            "RUN                 STATE    OPTIMIZER       STEP    LOSS  ACCURACY       LR  WORKERS"
            "  EXAMPLES/S  LEFT\n"
            "fashion             running  adam       1920/4000  0.3121    0.8792  0.00081        0"
            "           0  -\n"
            "z-with-a-long-name  paused   -                  0       -         -        0        0"
            "           0  -\n");
}

TEST_F(GradctlTest, ListSaysWhyARunDoesNotTrain) {
  for (const char* name : {"a", "b", "c"}) {
    v1::Run& run = server_.runs[absl::StrCat("runs/", name)];
    run.set_name(absl::StrCat("runs/", name));
    run.set_state(v1::RUN_STATE_RUNNING);
    run.mutable_progress()->set_condition(v1::RUN_CONDITION_TRAINING);
  }
  v1::RunProgress& diverged = *server_.runs["runs/a"].mutable_progress();
  diverged.set_condition(v1::RUN_CONDITION_DIVERGED);
  diverged.set_reason("loss is 31x its best since step 1,204");
  v1::RunProgress& waits = *server_.runs["runs/b"].mutable_progress();
  waits.set_condition(v1::RUN_CONDITION_WAITING_FOR_WORKERS);
  waits.set_reason("1 of 2 workers: w0 is there, w1 left");
  ASSERT_EQ(Run({"list"}), kExitOk) << console_.err;
  EXPECT_EQ(console_.out,
            "RUN  STATE     OPTIMIZER  STEP  LOSS  ACCURACY  LR  WORKERS  EXAMPLES/S  LEFT  WHY\n"
            "a    diverged  -             0  -     -          0        0           0  -     "
            "loss is 31x its best since step 1,204\n"
            "b    waiting   -             0  -     -          0        0           0  -     "
            "1 of 2 workers: w0 is there, w1 left\n"
            "c    running   -             0  -     -          0        0           0  -\n");
}

TEST_F(GradctlTest, ShowSaysHowLongARunHasWaitedAndForWhom) {
  AddFashion();
  v1::RunProgress& progress = *server_.runs["runs/fashion"].mutable_progress();
  progress.set_condition(v1::RUN_CONDITION_WAITING_FOR_WORKERS);
  progress.set_reason("1 of 2 workers: w0 is there, w1 left");
  progress.mutable_condition_time()->set_seconds(40);
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out,
              StartsWith("fashion  waiting for 0:40: 1 of 2 workers: w0 is there, w1 left\n"));
}

TEST_F(GradctlTest, ListFitsIntoTheTerminal) {
  AddFashion();
  v1::RunProgress& progress = *server_.runs["runs/fashion"].mutable_progress();
  progress.set_condition(v1::RUN_CONDITION_DIVERGED);
  progress.set_reason("loss is 2.86e+31x its best since step 61; w0, left");
  ASSERT_EQ(Run({"list"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("w0, left\n"));
  for (const int width : {120, 100, 80, 60, 40, 10, 1}) {
    console_.width = width;
    ASSERT_EQ(Run({"list"}), kExitOk) << console_.err;
    std::istringstream lines(console_.out);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), static_cast<size_t>(width)) << line;
    }
    if (width >= 60) {
      for (const char* kept : {"fashion", "diverged", "STEP", "loss is 2.86e+31"}) {
        EXPECT_THAT(console_.out, HasSubstr(kept)) << width;
      }
    }
  }
}

TEST_F(GradctlTest, ListWithoutRunsSaysSo) {
  EXPECT_EQ(Run({"list"}), kExitOk);
  EXPECT_EQ(console_.out, "no runs\n");
  EXPECT_EQ(Run({"list", "--json"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["runs"].size(), 0);
}

TEST_F(GradctlTest, ShowIsAPageWithTensorsSettingsWorkersAndChanges) {
  AddFashion();
  server_.runs["runs/fashion"].set_state_bytes(94'200);
  server_.runs["runs/fashion"].set_memory_bytes(125'600);
  server_.runs["runs/fashion"].set_timeline(1);
  ASSERT_EQ(Run({"show", "runs/fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, StartsWith("fashion  running\n"));
  for (const char* expected :
       {"7,850 parameters in 1 tensor\n", "adam, beta1 0.9", "learning_rate 0.001",
        "synchronous, workers 2", "1920 of 4000", "0.3121", "785 x 10", "waiting", "1921", "0.002",
        "grace", "125,600 bytes, 94,200 of them parameters and optimizer state"}) {
    EXPECT_THAT(console_.out, HasSubstr(expected));
  }
  EXPECT_THAT(console_.out, testing::Not(HasSubstr("timeline")));
  server_.runs["runs/fashion"].set_timeline(3);
  ASSERT_EQ(Run({"show", "runs/fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, testing::ContainsRegex("\n  timeline +3\n"));
}

TEST_F(GradctlTest, ShowSaysHowWeightDecayActs) {
  AddFashion();
  v1::Optimizer& optimizer = *server_.runs["runs/fashion"].mutable_optimizer();
  const auto shown = [&] {
    EXPECT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
    const size_t begin = console_.out.find("  weight decay  ");
    return begin == std::string::npos
               ? ""
               : console_.out.substr(begin, console_.out.find('\n', begin) - begin);
  };
  optimizer.mutable_adam();
  optimizer.clear_weight_decay();
  EXPECT_EQ(shown(), "");
  optimizer.set_weight_decay(0.25);
  EXPECT_EQ(shown(), "  weight decay    0.25, coupled");
  optimizer.mutable_lamb();
  EXPECT_EQ(shown(), "  weight decay    0.25, decoupled");
  optimizer.set_weight_decay_mode(v1::WEIGHT_DECAY_MODE_COUPLED);
  EXPECT_EQ(shown(), "  weight decay    0.25, coupled");
  optimizer.clear_weight_decay();
  optimizer.clear_weight_decay_mode();
  optimizer.mutable_adam_w();
  EXPECT_EQ(shown(), "  weight decay    0.01, decoupled");
}

TEST_F(GradctlTest, ShowSaysWhatWasBeyondFloat16AndWhose) {
  AddFashion();
  v1::Run& run = server_.runs["runs/fashion"];
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, ::testing::Not(HasSubstr("float16")));
  EXPECT_THAT(console_.out, ::testing::Not(HasSubstr("SATURATED")));
  run.mutable_progress()->set_saturated_values(12345);
  run.mutable_progress()->set_widened_chunks(1);
  run.mutable_workers(0)->set_saturated_values(12345);
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out,
              HasSubstr("  beyond float16  12,345 pushed values, taken as 65504 or -65504; "
                        "1 chunk of parameters, sent as float32\n"));
  EXPECT_THAT(console_.out, HasSubstr("  SATURATED  WIDENED\n"));
  EXPECT_THAT(console_.out, HasSubstr("  12,345        0\n"));
}

TEST_F(GradctlTest, ShowSaysHowNoisyGradientsAreAndWhoseAgreesLeast) {
  AddFashion();
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, ::testing::Not(HasSubstr("noise scale")));
  EXPECT_THAT(console_.out, ::testing::Not(HasSubstr("agreement")));
  v1::RunProgress& progress = *server_.runs["runs/fashion"].mutable_progress();
  progress.set_noise_scale(383.25);
  progress.set_lowest_agreement(-0.5);
  progress.set_lowest_agreement_worker("w1");
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
  EXPECT_THAT(console_.out, HasSubstr("  noise scale     383 examples\n"));
  EXPECT_THAT(console_.out, HasSubstr("  agreement       lowest -0.500, of w1\n"));
}

TEST_F(GradctlTest, ShowDescribesWhateverAScheduleIsMadeOf) {
  AddFashion();
  v1::Schedule& schedule = *server_.runs["runs/fashion"].mutable_schedule();
  const auto shown = [&](const std::string& text) {
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &schedule)) << text;
    EXPECT_EQ(Run({"show", "fashion"}), kExitOk) << console_.err;
    const size_t begin = console_.out.find("  schedule        ") + 18;
    return console_.out.substr(begin, console_.out.find('\n', begin) - begin);
  };
  EXPECT_EQ(shown("learning_rate: 0.1 cosine_decay { decay_steps: 900 } "
                  "warm_up { steps: 100 annealing: ANNEALING_COSINE } reduce_on_plateau {}"),
            "cosine, decay_steps 900, learning_rate 0.1, warm_up (steps 100, annealing cosine), "
            "reduce_on_plateau");
  EXPECT_EQ(shown("learning_rate: 1 multi_step_decay { milestones: [ 10, 20 ] gamma: 0.5 }"),
            "multi-step, milestones 10 20, gamma 0.5, learning_rate 1");
  EXPECT_EQ(shown("learning_rate: 1 piecewise { points { step: 0 factor: 1 } "
                  "points { step: 100 factor: 0.5 } interpolate: true }"),
            "piecewise, points 0:1 100:0.5, interpolate true, learning_rate 1");
  EXPECT_EQ(
      shown("learning_rate: 1 sequence { parts { steps: 5 schedule { warm_up { steps: 2 } } } "
            "parts { schedule { learning_rate: 0.5 linear { total_steps: 9 } } } }"),
      "sequence, parts (steps 5, schedule (warm_up (steps 2))) "
      "(schedule (linear, total_steps 9, learning_rate 0.5)), learning_rate 1");
  std::string milestones;
  for (int i = 1; i <= 12; ++i) absl::StrAppend(&milestones, "milestones: ", i, " ");
  EXPECT_EQ(shown("multi_step_decay { gamma: 1 " + milestones + "}"),
            "multi-step, milestones 1 2 3 4 5 6 7 8 9 10 and 2 more, gamma 1");
}

TEST_F(GradctlTest, ShowShortensTheLongValuesOfChanges) {
  AddFashion();
  server_.runs["runs/fashion"].mutable_history(0)->set_new_value(std::string(400, '7'));
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk);
  EXPECT_THAT(console_.out, HasSubstr(" " + std::string(60, '7') + "... "));
}

TEST_F(GradctlTest, UnknownRunIsNamedWithItsCode) {
  EXPECT_EQ(Run({"show", "fasion"}), kExitRefused);
  EXPECT_EQ(console_.err, "gradctl: no run \"fasion\" (NOT_FOUND)\n");
}

TEST_F(GradctlTest, EveryCommandRefusesAnUnknownRunWithExitCode1) {
  const std::string file = ::testing::TempDir() + "/unknown.f32";
  const std::vector<std::vector<std::string>> commands = {
      {"show", "no"},   {"watch", "no"},  {"set", "no", "steps=1"},        {"pause", "no"},
      {"resume", "no"}, {"delete", "no"}, {"pull", "no", "--output", file}};
  for (const std::vector<std::string>& command : commands) {
    EXPECT_EQ(Run(command), kExitRefused) << command[0];
    EXPECT_EQ(console_.err, "gradctl: no run \"no\" (NOT_FOUND)\n") << command[0];
    EXPECT_THAT(console_.out, IsEmpty());
  }
}

TEST_F(GradctlTest, SetSendsAFieldMaskAndTheAuthor) {
  AddFashion();
  ASSERT_EQ(Run({"set", "fashion", "learning-rate=0.01", "policy.synchronous.deadline=60s"}),
            kExitOk)
      << console_.err;
  const v1::UpdateRunRequest& request = server_.updates.at(0);
  EXPECT_THAT(request.update_mask().paths(),
              ElementsAre("schedule.learning_rate", "policy.synchronous.deadline"));
  EXPECT_EQ(request.author(), "ada");
  EXPECT_EQ(server_.runs["runs/fashion"].schedule().learning_rate(), 0.01);
  EXPECT_EQ(server_.runs["runs/fashion"].policy().synchronous().deadline().seconds(), 60);
  EXPECT_EQ(server_.runs["runs/fashion"].policy().synchronous().workers(), 2);
  EXPECT_EQ(console_.out,
            "fashion: learning-rate is now 0.01, policy.synchronous.deadline is now 60s\n");
}

TEST_F(GradctlTest, SetKnowsPoliciesByTheNamesThatCreateHas) {
  AddFashion();
  ASSERT_EQ(Run({"set", "fashion", "policy=bounded-staleness", "staleness-bound=3"}), kExitOk)
      << console_.err;
  EXPECT_THAT(server_.updates.at(0).update_mask().paths(), ElementsAre("policy"));
  EXPECT_EQ(server_.runs["runs/fashion"].policy().ShortDebugString(),
            "bounded_staleness { bound: 3 }");
  EXPECT_EQ(console_.out, "fashion: policy is now bounded-staleness, staleness-bound is now 3\n");
  // Where the run has that policy already, what is not said again goes.
  AddFashion();
  server_.runs["runs/fashion"].mutable_policy()->mutable_synchronous()->mutable_deadline();
  ASSERT_EQ(Run({"set", "fashion", "policy=synchronous", "quorum=2"}), kExitOk) << console_.err;
  EXPECT_EQ(server_.runs["runs/fashion"].policy().ShortDebugString(),
            "synchronous { workers: 2 quorum: 2 }");
  EXPECT_THAT(console_.out, HasSubstr("; cleared: policy.synchronous.deadline\n"));
  EXPECT_EQ(Run({"set", "fashion", "policy=lucky"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("there are synchronous, asynchronous, bounded-staleness"));
}

TEST_F(GradctlTest, SetSaysFromWhereAnotherScheduleCounts) {
  AddFashion();
  v1::Schedule& schedule = *server_.runs["runs/fashion"].mutable_schedule();
  schedule.set_begins_at(100);  // As the server says.
  ASSERT_EQ(Run({"set", "fashion", "schedule.cosine_decay.decay_steps=50"}), kExitOk)
      << console_.err;
  EXPECT_EQ(console_.out,
            "fashion: schedule.cosine_decay.decay_steps is now 50; the schedule counts from step "
            "100\n");
  ASSERT_EQ(Run({"set", "fashion", "learning-rate=0.5", "plateau-patience=7"}), kExitOk);
  EXPECT_THAT(console_.out, Not(HasSubstr("counts from")));
  ASSERT_EQ(Run({"set", "fashion", "warm-up=5", "begins-at=0"}), kExitOk) << console_.err;
  EXPECT_THAT(server_.updates.at(2).update_mask().paths(),
              ElementsAre("schedule.warm_up.steps", "schedule.begins_at"));
  EXPECT_THAT(console_.out, HasSubstr("; the schedule counts from step 0\n"));
  ASSERT_EQ(Run({"show", "fashion"}), kExitOk);
  EXPECT_THAT(console_.out, HasSubstr("begins_at 0"));
  ASSERT_EQ(Run({"set", "--help"}), kExitOk);
  EXPECT_THAT(console_.out, HasSubstr("begins-at=0"));
}

TEST_F(GradctlTest, SetFindsTheOptimizerOfAShortName) {
  AddFashion();
  ASSERT_EQ(Run({"set", "fashion", "epsilon=1e-6", "--author", "grace"}), kExitOk) << console_.err;
  EXPECT_THAT(server_.updates.at(0).update_mask().paths(), ElementsAre("optimizer.adam.epsilon"));
  EXPECT_EQ(server_.updates.at(0).author(), "grace");
  EXPECT_EQ(Run({"set", "fashion", "momentum=0.5"}), kExitUsage);
  EXPECT_THAT(console_.err, HasSubstr("this run's is adam"));
  EXPECT_THAT(server_.updates, SizeIs(1));
}

TEST_F(GradctlTest, WhatTheServerRefusesIsExitCode1WithItsMessage) {
  AddFashion();
  EXPECT_EQ(Run({"set", "fashion", "learning-rate=-1"}), kExitRefused);
  EXPECT_EQ(console_.err,
            "gradctl: schedule.learning_rate: -1, expected [0, 1e6] (INVALID_ARGUMENT)\n");
}

TEST_F(GradctlTest, PauseResumeAndDeleteDoWhatTheySay) {
  AddFashion();
  EXPECT_EQ(Run({"pause", "fashion"}), kExitOk);
  EXPECT_EQ(console_.out, "fashion: paused\n");
  EXPECT_EQ(server_.runs["runs/fashion"].state(), v1::RUN_STATE_PAUSED);
  EXPECT_EQ(server_.pauses.at(0).author(), "ada");
  EXPECT_EQ(Run({"resume", "fashion"}), kExitOk);
  EXPECT_EQ(console_.out, "fashion: resumed\n");
  EXPECT_EQ(server_.runs["runs/fashion"].state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(server_.resumes.at(0).author(), "ada");
  EXPECT_EQ(Run({"delete", "fashion"}), kExitOk);
  EXPECT_EQ(console_.out, "fashion: deleted\n");
  EXPECT_THAT(server_.runs, IsEmpty());
}

TEST_F(GradctlTest, JsonIsOneObjectPerLineWithProtoFieldNames) {
  ASSERT_EQ(
      Run({"create", "fashion", "--json", "--layout", "-", "--learning-rate", "0.1"}, kLayout),
      kExitOk);
  EXPECT_EQ(Json(console_.out)["parameter_count"], "7850");
  ASSERT_EQ(Run({"--json", "list"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["runs"][0]["name"], "runs/fashion");
  ASSERT_EQ(Run({"show", "fashion", "--json"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["schedule"]["learning_rate"], 0.1);
  EXPECT_FALSE(Json(console_.out)["progress"].contains("loss")) << console_.out;
  ASSERT_EQ(Run({"set", "fashion", "learning-rate=0.2", "--json"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["schedule"]["learning_rate"], 0.2);
  ASSERT_EQ(Run({"pause", "fashion", "--json"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["state"], "RUN_STATE_PAUSED");
  ASSERT_EQ(Run({"resume", "fashion", "--json"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["state"], "RUN_STATE_RUNNING");
  ASSERT_EQ(Run({"delete", "fashion", "--json"}), kExitOk);
  EXPECT_EQ(Json(console_.out)["name"], "runs/fashion");
}

TEST_F(GradctlTest, WhatShowPrintsAsJsonCanBeASpec) {
  AddFashion();
  ASSERT_EQ(Run({"show", "fashion", "--json"}), kExitOk);
  ASSERT_EQ(Run({"create", "again", "--spec", "-"}, console_.out), kExitOk) << console_.err;
  EXPECT_EQ(server_.creates.at(0).run().optimizer().adam().beta1(), 0.9);
}

TEST_F(GradctlTest, ErrorsInJsonModeAreJsonOnStandardError) {
  EXPECT_EQ(Run({"show", "fasion", "--json"}), kExitRefused);
  EXPECT_THAT(console_.out, IsEmpty());
  const nlohmann::json refused = Json(console_.err);
  EXPECT_EQ(refused["code"], "NOT_FOUND");
  EXPECT_EQ(refused["reason"], "RUN_NOT_FOUND");
  EXPECT_EQ(refused["message"], "no run \"fasion\"");
  EXPECT_EQ(Run({"shw", "--json"}), kExitUsage);
  EXPECT_EQ(Json(console_.err)["reason"], "USAGE");
}

TEST_F(GradctlTest, UnreachableServerIsExitCode3) {
  server_.Stop();
  EXPECT_EQ(Run({"list"}), kExitUnreachable);
  EXPECT_THAT(console_.err, StartsWith("gradctl: cannot reach gradd at " + server_.address()));
  EXPECT_THAT(console_.err, HasSubstr("(UNAVAILABLE)"));
  EXPECT_THAT(console_.waits, SizeIs(2));
  EXPECT_EQ(Run({"list", "--json"}), kExitUnreachable);
  EXPECT_EQ(Json(console_.err)["code"], "UNAVAILABLE");
}

TEST_F(GradctlTest, AnAddressThatCannotBeOneIsAUsageError) {
  EXPECT_EQ(console_.Run({"list", "--server", "localhost"}), kExitUsage);
  EXPECT_THAT(console_.err, StartsWith("gradctl: --server: "));
  EXPECT_THAT(console_.err, HasSubstr("\"localhost\""));
}

TEST_F(GradctlTest, InterruptEndsARetryWith130) {
  server_.Stop();
  console_.on_wait = [this] { console_.interrupt.Trigger(); };
  EXPECT_EQ(Run({"list"}), kExitInterrupted);
  EXPECT_EQ(console_.err, "gradctl: interrupted\n");
}

TEST_F(GradctlTest, HelpAndVersionAskNoServer) {
  server_.Stop();
  EXPECT_EQ(Run({"--help"}), kExitOk);
  EXPECT_THAT(console_.out, HasSubstr("Exit status"));
  EXPECT_EQ(Run({"--version"}), kExitOk);
  EXPECT_THAT(console_.out, StartsWith("gradctl "));
}

}  // namespace
}  // namespace gradd::ctl
