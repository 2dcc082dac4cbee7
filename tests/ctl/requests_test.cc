#include "ctl/requests.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/base/utf8.h"
#include "ctl/fields.h"
#include "ctl/status.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/field_mask_util.h"
#include "gtest/gtest.h"

namespace gradd::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

NewRun Sgd(std::vector<Assignment> fields) {
  NewRun run;
  run.run = "x";
  run.optimizer = "sgd";
  run.schedule = "constant";
  run.fields = std::move(fields);
  return run;
}

v1::Run RunWithAdam() {
  v1::Run run;
  run.set_name("runs/x");
  run.mutable_optimizer()->mutable_adam();
  run.mutable_schedule()->mutable_step_decay();
  run.mutable_policy()->mutable_synchronous();
  return run;
}

TEST(MakeCreateRequestTest, OneSynchronousWorkerIsTheDefault) {
  const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(Sgd({}), v1::Layout());
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->run_id(), "x");
  EXPECT_TRUE(request->run().optimizer().has_sgd());
  EXPECT_TRUE(request->run().schedule().has_constant());
  EXPECT_EQ(request->run().policy().synchronous().workers(), 1);
}

TEST(MakeCreateRequestTest, MomentumGoesToWhicheverOptimizerWasChosen) {
  for (const char* optimizer : {"momentum", "nesterov", "rmsprop"}) {
    NewRun run = Sgd({{"momentum", "0.5"}});
    run.optimizer = optimizer;
    const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
    ASSERT_TRUE(request.ok()) << request.status();
    const v1::Optimizer& chosen = request->run().optimizer();
    EXPECT_EQ(
        chosen.momentum().momentum() + chosen.nesterov().momentum() + chosen.rms_prop().momentum(),
        0.5)
        << optimizer;
    EXPECT_EQ(KindName(chosen), optimizer);
  }
}

TEST(MakeCreateRequestTest, EveryFieldOfEveryKindCanBeGiven) {
  // Every kind, with all the fields that ShortNames() has for it: none can be forgotten there.
  for (const std::string& optimizer : KindNames(*v1::Optimizer::descriptor())) {
    NewRun run = Sgd({});
    run.optimizer = optimizer;
    const v1::Run kinds = MakeCreateRequest(run, v1::Layout())->run();
    const auto* type = kinds.optimizer().GetDescriptor();
    const auto* member = kinds.optimizer().GetReflection()->GetOneofFieldDescriptor(
        kinds.optimizer(), type->oneof_decl(0));
    std::set<std::string> paths;
    for (const ShortName& name : ShortNames()) paths.insert(name.path);
    for (int i = 0; i < member->message_type()->field_count(); ++i) {
      const std::string path =
          absl::StrCat("optimizer.", member->name(), ".", member->message_type()->field(i)->name());
      // These two words are a run's and a schedule's.
      if (path == "optimizer.noisy_sgd.seed" || path == "optimizer.noisy_sgd.gamma") continue;
      EXPECT_EQ(paths.count(path), 1) << path;
    }
  }
}

TEST(MakeCreateRequestTest, EveryFieldOfEveryScheduleCanBeGiven) {
  std::set<std::string> paths;
  for (const ShortName& name : ShortNames()) paths.insert(name.path);
  const auto* const type = v1::Schedule::descriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* const member = type->field(i);
    if (member->message_type() == nullptr) continue;
    if (member->real_containing_oneof() != nullptr) {
      NewRun run = Sgd({});
      run.schedule = KindName(member->name());
      const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
      ASSERT_TRUE(request.ok()) << request.status();
      EXPECT_EQ(KindName(request->run().schedule()), run.schedule);
    }
    for (int j = 0; j < member->message_type()->field_count(); ++j) {
      const std::string path =
          absl::StrCat("schedule.", member->name(), ".", member->message_type()->field(j)->name());
      EXPECT_EQ(paths.count(path), 1) << path;
    }
  }
}

TEST(MakeCreateRequestTest, KindsHaveEverySpellingThatThereIs) {
  const auto upper = [](const std::string& name) {  // NAdamW
    std::string text;
    for (const std::string& part : std::vector<std::string>(absl::StrSplit(name, '_'))) {
      absl::StrAppend(&text,
                      std::string(1, absl::ascii_toupper(static_cast<unsigned char>(part[0]))),
                      part.substr(1));
    }
    return text;
  };
  for (const auto* const type : {v1::Optimizer::descriptor(), v1::Schedule::descriptor()}) {
    for (int i = 0; i < type->oneof_decl(0)->field_count(); ++i) {
      const auto* const kind = type->oneof_decl(0)->field(i);
      const std::string& name = kind->name();
      for (const std::string& text :
           {name, KindName(name), upper(name), absl::StrReplaceAll(name, {{"_", "-"}}),
            absl::StrReplaceAll(name, {{"_", ""}})}) {
        const auto found = FindKind(*type, text);
        ASSERT_TRUE(found.ok()) << found.status();
        EXPECT_EQ(*found, kind) << text;
      }
    }
  }
}

TEST(MakeCreateRequestTest, TorchsNamesAreKnown) {
  const std::pair<const char*, const char*> optimizers[] = {
      {"SGD", "sgd"},          {"Adam", "adam"},        {"AdamW", "adam_w"},
      {"Adamax", "ada_max"},   {"NAdam", "n_adam"},     {"RAdam", "r_adam"},
      {"ASGD", "asgd"},        {"Adagrad", "ada_grad"}, {"Adadelta", "ada_delta"},
      {"RMSprop", "rms_prop"}, {"Rprop", "rprop"},      {"Adafactor", "adafactor"},
      {"Muon", "muon"}};
  for (const auto& [text, name] : optimizers) {
    EXPECT_EQ((*FindKind(*v1::Optimizer::descriptor(), text))->name(), name);
  }
  const std::pair<const char*, const char*> schedules[] = {
      {"StepLR", "step_decay"},
      {"MultiStepLR", "multi_step_decay"},
      {"ConstantLR", "constant"},
      {"LinearLR", "linear"},
      {"ExponentialLR", "exponential_decay"},
      {"PolynomialLR", "polynomial_decay"},
      {"CosineAnnealingLR", "cosine_decay"},
      {"CosineAnnealingWarmRestarts", "cosine_restarts"},
      {"CyclicLR", "cyclic"},
      {"OneCycleLR", "one_cycle"},
      {"SequentialLR", "sequence"}};
  for (const auto& [text, name] : schedules) {
    EXPECT_EQ((*FindKind(*v1::Schedule::descriptor(), text))->name(), name);
  }
}

TEST(MakeCreateRequestTest, AKindThatIsNotKnownGetsTheNearestAndAll) {
  const auto message = [](const char* text) {
    return std::string(FindKind(*v1::Optimizer::descriptor(), text).status().message());
  };
  EXPECT_THAT(message("adagard"), HasSubstr("unknown optimizer \"adagard\", perhaps adagrad; there "
                                            "are sgd, momentum, nesterov, "));
  EXPECT_THAT(message("Adm"), HasSubstr("perhaps adam;"));
  EXPECT_THAT(message("heavyball"), HasSubstr("unknown optimizer \"heavyball\"; there are sgd"));
  EXPECT_THAT(message(""), HasSubstr("unknown optimizer \"\"; there are sgd"));
}

TEST(MakeUpdateRequestTest, AMessageThatIsNoJsonGetsAnExample) {
  const auto message = [](const char* field, const char* value) {
    return std::string(MakeUpdateRequest(RunWithAdam(), {{field, value}}).status().message());
  };
  EXPECT_THAT(message("optimizer", "sgd"),
              HasSubstr("optimizer: \"sgd\" is not JSON of Optimizer, such as {\"sgd\": {}}"));
  EXPECT_THAT(message("schedule", "0.1"),
              HasSubstr("is not JSON of Schedule, such as {\"learning_rate\": 1}"));
  EXPECT_THAT(message("policy", "{async}"),
              HasSubstr("is not JSON of SynchronizationPolicy, such as {\"synchronous\": "
                        "{\"workers\": 1}}"));
}

TEST(MakeCreateRequestTest, SchedulesAreCalledAsPeopleCallThem) {
  EXPECT_THAT(
      KindNames(*v1::Schedule::descriptor()),
      ElementsAre("constant", "step", "exponential", "multi-step", "inverse-time", "polynomial",
                  "linear", "cosine", "cosine-restarts", "cyclic", "one-cycle", "stable-decay",
                  "inverse-square-root", "piecewise", "sequence"));
  NewRun run = Sgd({});
  run.schedule = "fast";
  EXPECT_THAT(std::string(MakeCreateRequest(run, v1::Layout()).status().message()),
              HasSubstr("unknown schedule \"fast\"; there are constant, step, "));
}

TEST(MakeCreateRequestTest, ListsAreGivenWithCommasOrAsJson) {
  for (const char* text : {"100,200,9007199254740992", R"([100, "200", 9007199254740992])"}) {
    NewRun run = Sgd({{"milestones", text}});
    run.schedule = "multi-step";
    const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_THAT(request->run().schedule().multi_step_decay().milestones(),
                ElementsAre(100, 200, int64_t{1} << 53));
  }
  for (const char* text :
       {"0:1,100:2.5e-3", R"([{"factor": 1}, {"step": 100, "factor": 2.5e-3}])"}) {
    NewRun run = Sgd({{"points", text}, {"interpolate", "true"}});
    run.schedule = "piecewise";
    const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
    ASSERT_TRUE(request.ok()) << request.status();
    const v1::PiecewiseSchedule& piecewise = request->run().schedule().piecewise();
    ASSERT_EQ(piecewise.points_size(), 2);
    EXPECT_EQ(piecewise.points(0).step(), 0);
    EXPECT_EQ(piecewise.points(0).factor(), 1);
    EXPECT_EQ(piecewise.points(1).step(), 100);
    EXPECT_EQ(piecewise.points(1).factor(), 2.5e-3);
    EXPECT_TRUE(piecewise.interpolate());
  }
  NewRun run =
      Sgd({{"parts", R"([{"steps": 5, "schedule": {"linear": {"total_steps": 5}}}, {}])"}});
  run.schedule = "sequence";
  const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::SequenceSchedule& sequence = request->run().schedule().sequence();
  ASSERT_EQ(sequence.parts_size(), 2);
  EXPECT_EQ(sequence.parts(0).schedule().linear().total_steps(), 5);
}

TEST(MakeCreateRequestTest, ListsThatAreNoneAreRefused) {
  struct Case {
    const char* schedule;
    Assignment field;
  };
  const std::vector<Case> cases = {
      {"multi-step", {"milestones", ""}},
      {"multi-step", {"milestones", "1,"}},
      {"multi-step", {"milestones", "1.5"}},
      {"multi-step", {"milestones", "1;2"}},
      {"multi-step", {"milestones", "[1, 2"}},
      {"multi-step", {"milestones", "[]"}},
      {"multi-step", {"milestones", "1:2"}},
      {"piecewise", {"points", "1"}},
      {"piecewise", {"points", "1:2:3"}},
      {"piecewise", {"points", "1:fast"}},
      {"piecewise", {"points", "[{\"at\": 1}]"}},
      {"sequence", {"parts", "100:linear"}},
      {"sequence", {"parts", "100"}},
      {"sequence", {"parts", "[{\"steps\": \"x\"}]"}},
  };
  for (const Case& each : cases) {
    NewRun run = Sgd({each.field});
    run.schedule = each.schedule;
    const absl::Status status = MakeCreateRequest(run, v1::Layout()).status();
    EXPECT_EQ(ExitCodeOf(status), kExitUsage) << each.field.first << "=" << each.field.second;
    EXPECT_THAT(std::string(status.message()), HasSubstr(Quoted(each.field.second) + " is not a"));
  }
}

TEST(MakeCreateRequestTest, WarmUpAndReduceOnPlateauGoWithEverySchedule) {
  for (const std::string& schedule : KindNames(*v1::Schedule::descriptor())) {
    NewRun run = Sgd({{"warm-up", "100"},
                      {"warm-up-annealing", "cosine"},
                      {"plateau-metric", "evaluation-accuracy"},
                      {"plateau-factor", "0.5"}});
    run.schedule = schedule;
    const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
    ASSERT_TRUE(request.ok()) << request.status();
    const v1::Schedule& created = request->run().schedule();
    EXPECT_EQ(KindName(created), schedule);
    EXPECT_EQ(created.warm_up().steps(), 100);
    EXPECT_EQ(created.warm_up().annealing(), v1::ANNEALING_COSINE);
    EXPECT_EQ(created.reduce_on_plateau().metric(), v1::PLATEAU_METRIC_EVALUATION_ACCURACY);
    EXPECT_EQ(created.reduce_on_plateau().factor(), 0.5);
  }
}

TEST(ShortNamesTest, AllStandForFieldsThatExist) {
  for (const ShortName& name : ShortNames()) {
    v1::Run run;
    // The path is good if it gets as far as the value.
    const bool no_default = name.path == std::string("schedule.learning_rate");
    const absl::Status status = SetField(name.path, no_default ? "1" : "default", &run);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(MakeCreateRequestTest, AFieldOfAnotherOptimizerIsRefusedSayingWhose) {
  const absl::Status status = MakeCreateRequest(Sgd({{"beta1", "0.9"}}), v1::Layout()).status();
  EXPECT_EQ(ExitCodeOf(status), kExitUsage);
  EXPECT_THAT(status.message(), HasSubstr("--beta1 belongs to the optimizer adam or amsgrad or "));
  EXPECT_THAT(status.message(), HasSubstr(", and this run's is sgd"));
}

TEST(MakeCreateRequestTest, AFieldOfAnotherScheduleOrPolicyIsRefusedSayingWhose) {
  EXPECT_EQ(
      MakeCreateRequest(Sgd({{"gamma", "0.9"}}), v1::Layout()).status().message(),
      "--gamma belongs to the schedule step or multi-step or cyclic, and this run's is constant");
  NewRun asynchronous = Sgd({{"workers", "2"}});
  asynchronous.policy = "asynchronous";
  EXPECT_EQ(MakeCreateRequest(asynchronous, v1::Layout()).status().message(),
            "--workers belongs to the policy synchronous, and this run's is asynchronous");
}

TEST(MakeCreateRequestTest, ValuesThatAreNoneAreRefused) {
  const std::vector<Assignment> bad = {{"steps", "many"}, {"steps", "1.5"},
                                       {"steps", ""},     {"learning-rate", "fast"},
                                       {"seed", "-1"},    {"workers", "99999999999"},
                                       {"lease", "soon"}, {"lease", "inf"},
                                       {"lease", "nan"},  {"weight-decay-mode", "both"},
                                       {"deadline", "1y"}};
  for (const Assignment& field : bad) {
    const absl::Status status = MakeCreateRequest(Sgd({field}), v1::Layout()).status();
    EXPECT_EQ(ExitCodeOf(status), kExitUsage) << field.first << "=" << field.second;
    EXPECT_THAT(std::string(status.message()), HasSubstr("\"" + field.second + "\""));
  }
}

TEST(MakeCreateRequestTest, EnumsAndDurationsHaveShortSpellings) {
  NewRun run = Sgd({{"weight-decay-mode", "decoupled"}, {"lease", "1m30s"}, {"deadline", "0.5"}});
  const absl::StatusOr<v1::CreateRunRequest> request = MakeCreateRequest(run, v1::Layout());
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->run().optimizer().weight_decay_mode(), v1::WEIGHT_DECAY_MODE_DECOUPLED);
  EXPECT_EQ(request->run().lease_duration().seconds(), 90);
  EXPECT_EQ(request->run().policy().synchronous().deadline().nanos(), 500'000'000);
  run = Sgd({{"max-staleness", "0"}, {"staleness-correction", "learning-rate"}});
  run.policy = "asynchronous";
  const v1::Asynchronous policy =
      MakeCreateRequest(run, v1::Layout())->run().policy().asynchronous();
  EXPECT_TRUE(policy.has_max_staleness());
  EXPECT_EQ(policy.correction(), v1::STALENESS_CORRECTION_LEARNING_RATE);
}

TEST(ParseAssignmentTest, SplitsAtTheFirstEqualsSign) {
  EXPECT_EQ(*ParseAssignment("policy={\"a\"=1}"), Assignment("policy", "{\"a\"=1}"));
  EXPECT_EQ(ExitCodeOf(ParseAssignment("learning-rate").status()), kExitUsage);
  EXPECT_EQ(ExitCodeOf(ParseAssignment("=1").status()), kExitUsage);
}

TEST(MakeUpdateRequestTest, ShortNamesAndPathsBecomeTheMask) {
  const absl::StatusOr<v1::UpdateRunRequest> request =
      MakeUpdateRequest(RunWithAdam(), {{"learning-rate", "0.01"},
                                        {"max-steps", "9"},
                                        {"optimizer.adam.beta1", "0.95"},
                                        {"gamma", "0.5"},
                                        {"policy.synchronous.deadline", "60s"}});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->update_mask().paths(),
              ElementsAre("schedule.learning_rate", "max_steps", "optimizer.adam.beta1",
                          "schedule.step_decay.gamma", "policy.synchronous.deadline"));
  EXPECT_EQ(request->run().name(), "runs/x");
  EXPECT_EQ(request->run().schedule().learning_rate(), 0.01);
  EXPECT_EQ(request->run().schedule().step_decay().gamma(), 0.5);
  EXPECT_EQ(request->run().optimizer().adam().beta1(), 0.95);
  EXPECT_EQ(request->run().policy().synchronous().deadline().seconds(), 60);
}

TEST(MakeUpdateRequestTest, DefaultClearsAField) {
  const absl::StatusOr<v1::UpdateRunRequest> request =
      MakeUpdateRequest(RunWithAdam(), {{"beta1", "default"}});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->update_mask().paths(), ElementsAre("optimizer.adam.beta1"));
  EXPECT_FALSE(request->run().optimizer().adam().has_beta1());
}

TEST(MakeUpdateRequestTest, ListsWarmUpAndReduceOnPlateauAreSetLikeOtherFields) {
  v1::Run current = RunWithAdam();
  current.mutable_schedule()->mutable_multi_step_decay();
  const absl::StatusOr<v1::UpdateRunRequest> request = MakeUpdateRequest(
      current,
      {{"milestones", "10,20"}, {"warm-up", "5"}, {"schedule.reduce_on_plateau", "default"}});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->update_mask().paths(),
              ElementsAre("schedule.multi_step_decay.milestones", "schedule.warm_up.steps",
                          "schedule.reduce_on_plateau"));
  EXPECT_THAT(request->run().schedule().multi_step_decay().milestones(), ElementsAre(10, 20));
  EXPECT_EQ(request->run().schedule().warm_up().steps(), 5);
  EXPECT_FALSE(request->run().schedule().has_reduce_on_plateau());
  const absl::StatusOr<v1::UpdateRunRequest> cleared =
      MakeUpdateRequest(current, {{"milestones", "default"}});
  ASSERT_TRUE(cleared.ok()) << cleared.status();
  EXPECT_EQ(cleared->run().schedule().multi_step_decay().milestones_size(), 0);
}

TEST(MakeUpdateRequestTest, AWholeMessageIsGivenAsJson) {
  const absl::StatusOr<v1::UpdateRunRequest> request =
      MakeUpdateRequest(RunWithAdam(), {{"policy", R"({"asynchronous": {"max_staleness": 4}})"}});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->update_mask().paths(), ElementsAre("policy"));
  EXPECT_EQ(request->run().policy().asynchronous().max_staleness(), 4);
  EXPECT_EQ(ExitCodeOf(MakeUpdateRequest(RunWithAdam(), {{"policy", "fast"}}).status()),
            kExitUsage);
}

TEST(MakeUpdateRequestTest, APolicyIsNamedAsInCreate) {
  v1::Run current = RunWithAdam();
  current.mutable_policy()->mutable_synchronous()->set_workers(4);
  current.mutable_policy()->mutable_synchronous()->mutable_deadline()->set_seconds(9);
  for (const char* text : {"bounded-staleness", "bounded_staleness", "BoundedStaleness"}) {
    const absl::StatusOr<v1::UpdateRunRequest> request =
        MakeUpdateRequest(current, {{"policy", text}});
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_THAT(request->update_mask().paths(), ElementsAre("policy"));
    EXPECT_EQ(request->run().policy().ShortDebugString(), "bounded_staleness { }") << text;
  }
  const auto policy = [&](const std::vector<Assignment>& changes) {
    const absl::StatusOr<v1::UpdateRunRequest> request = MakeUpdateRequest(current, changes);
    if (!request.ok()) return std::string(request.status().message());
    EXPECT_EQ(request->update_mask().paths(0), "policy");
    return request->run().policy().ShortDebugString();
  };
  EXPECT_EQ(policy({{"policy", "asynchronous"}}), "asynchronous { }");
  EXPECT_EQ(policy({{"policy", "synchronous"}, {"quorum", "2"}}),
            "synchronous { workers: 4 quorum: 2 }");
  // Whatever comes first, and with other fields.
  EXPECT_EQ(policy({{"staleness-bound", "3"}, {"policy", "bounded-staleness"}, {"max-steps", "9"}}),
            "bounded_staleness { bound: 3 }");
  EXPECT_EQ(policy({{"policy", "asynchronous"},
                    {"delay-compensation", "0.5"},
                    {"policy.asynchronous.max_staleness", "7"}}),
            "asynchronous { max_staleness: 7 delay_compensation { strength: 0.5 } }");
  current.mutable_policy()->mutable_asynchronous();
  EXPECT_EQ(policy({{"policy", "synchronous"}}), "synchronous { workers: 1 }");
}

TEST(MakeUpdateRequestTest, APolicyThatIsNoneGetsThoseThatThereAre) {
  const auto message = [](const std::vector<Assignment>& changes) {
    const absl::Status status = MakeUpdateRequest(RunWithAdam(), changes).status();
    EXPECT_EQ(ExitCodeOf(status), kExitUsage);
    return std::string(status.message());
  };
  EXPECT_EQ(message({{"policy", "bounded"}}),
            "policy: unknown policy \"bounded\"; there are synchronous, asynchronous, "
            "bounded-staleness, or JSON, such as {\"synchronous\": {\"workers\": 1}}");
  EXPECT_THAT(message({{"policy", "asynchronous"}, {"policy", "synchronous"}}),
              HasSubstr("policy is set twice"));
  EXPECT_THAT(message({{"policy", "asynchronous"}, {"policy", "{}"}}), HasSubstr("set twice"));
  EXPECT_THAT(message({{"policy", "asynchronous"}, {"staleness-bound", "2"}}),
              HasSubstr("staleness-bound belongs to the policy bounded-staleness, and this run's "
                        "is asynchronous"));
  EXPECT_THAT(message({{"policy", "asynchronous"}, {"policy.bounded_staleness.bound", "2"}}),
              HasSubstr("policy.bounded_staleness.bound"));
  EXPECT_THAT(
      message({{"policy", "synchronous"}, {"quorum", "2"}, {"policy.synchronous.quorum", "3"}}),
      HasSubstr("policy.synchronous.quorum is set twice"));
}

TEST(MakeUpdateRequestTest, GroupsAreGivenAsJson) {
  const absl::StatusOr<v1::UpdateRunRequest> request =
      MakeUpdateRequest(RunWithAdam(), {{"groups", R"([{"pattern": ".*bias", "weightDecay": 0},
                                     {"pattern": "embedding", "optimizer": {"adamW": {}},
                                      "sharesNorms": true}])"}});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->update_mask().paths(), ElementsAre("groups"));
  ASSERT_EQ(request->run().groups_size(), 2);
  EXPECT_FALSE(request->run().groups(0).shares_norms());
  EXPECT_TRUE(request->run().groups(1).shares_norms());
}

TEST(MakeUpdateRequestTest, ChangesThatContradictEachOtherAreRefused) {
  EXPECT_THAT(std::string(MakeUpdateRequest(RunWithAdam(), {{"learning-rate", "1"},
                                                            {"schedule.learning_rate", "2"}})
                              .status()
                              .message()),
              HasSubstr("schedule.learning_rate is set twice"));
  EXPECT_THAT(std::string(MakeUpdateRequest(RunWithAdam(),
                                            {{"policy", "{}"}, {"policy.synchronous.workers", "2"}})
                              .status()
                              .message()),
              HasSubstr("parts of each other"));
  EXPECT_THAT(std::string(MakeUpdateRequest(RunWithAdam(),
                                            {{"schedule.step_decay.gamma", "0.5"},
                                             {"schedule.exponential_decay.decay_rate", "0.5"}})
                              .status()
                              .message()),
              HasSubstr("only one of"));
}

TEST(MakeUpdateRequestTest, FieldsThatCannotBeSetAreNamed) {
  for (const char* name :
       {"name", "learningrate", "", ".", "optimizer.adam.beta3", "optimizer.adam.beta1.x", "name.x",
        "layout.tensors", "optimizer..beta1", "workers.worker"}) {
    const absl::Status status = MakeUpdateRequest(RunWithAdam(), {{name, "1"}}).status();
    EXPECT_EQ(ExitCodeOf(status), kExitUsage) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST(MakeUpdateRequestTest, WhatStaysAsItWasCreatedIsRefusedAndNotListed) {
  for (const char* name : {"seed", "layout", "progress.step", "create_time"}) {
    const absl::Status status = MakeUpdateRequest(RunWithAdam(), {{name, "1"}}).status();
    EXPECT_EQ(ExitCodeOf(status), kExitUsage) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("stays as the run was created")) << name;
  }
  const absl::Status unknown = MakeUpdateRequest(RunWithAdam(), {{"sead", "1"}}).status();
  EXPECT_THAT(std::string(unknown.message()), ::testing::Not(HasSubstr("seed")));
}

TEST(MakeUpdateRequestTest, AnUnknownFieldGetsTheOneThatWasMeant) {
  const struct {
    const char* name;
    const char* meant;
  } kRows[] = {{"keep_last", "checkpoints.keep_last"},
               {"keep-last", "checkpoints.keep_last"},
               {"action", "guard.action"},
               {"checkpoint.keep_last", "checkpoints.keep_last"},
               {"jurnal", "journal"},
               {"leas", "lease"},
               {"learningrate", "learning-rate"},
               {"learning_rate", "schedule.learning_rate"}};
  for (const auto& row : kRows) {
    const absl::Status status = MakeUpdateRequest(RunWithAdam(), {{row.name, "1"}}).status();
    const std::string message(status.message());
    EXPECT_THAT(message, HasSubstr(absl::StrCat("\"", row.name, "\", perhaps ", row.meant, ";")));
  }
}

TEST(MakeUpdateRequestTest, WhatIsNoNumberOrTooLargeGetsTheRange) {
  const auto error = [](const char* name, const char* value) {
    return std::string(MakeUpdateRequest(RunWithAdam(), {{name, value}}).status().message());
  };
  EXPECT_EQ(error("steps", "99999999999999999999"),
            "max_steps: \"99999999999999999999\" is not a whole number from "
            "-9223372036854775808 to 9223372036854775807");
  EXPECT_EQ(error("workers", "3000000000"),
            "policy.synchronous.workers: \"3000000000\" is not a whole number from -2147483648 to "
            "2147483647");
  for (const char* value : {"1e400", "-1e400", "inf", "nan", "1e-400", "x", ""}) {
    EXPECT_THAT(error("learning-rate", value), HasSubstr("is not a finite number up to 1.8e308"))
        << value;
  }
}

TEST(MakeUpdateRequestTest, LongTextsAreCut) {
  const std::string text(9000, 'x');
  for (const Assignment& change : std::vector<Assignment>{{text, "1"},
                                                          {"optimizer." + text, "1"},
                                                          {"optimizer.adam." + text + ".y", "1"},
                                                          {"learning-rate", text},
                                                          {"optimizer", text},
                                                          {"optimizer", "{\"" + text + "\": 1}"},
                                                          {"lease", text},
                                                          {"weight-decay-mode", text},
                                                          {"groups", "[" + text + "]"}}) {
    const absl::Status status = MakeUpdateRequest(RunWithAdam(), {change}).status();
    EXPECT_EQ(ExitCodeOf(status), kExitUsage) << change.first;
    EXPECT_EQ(std::string(status.message()).find(text.substr(0, 400)), std::string::npos)
        << change.first.substr(0, 30);
  }
  EXPECT_LT(ParseAssignment(text).status().message().size(), 200u);
}

TEST(ParseLayoutTest, AnEmptyFileIsSaidToBeEmpty) {
  for (const char* text : {"", " \n"}) {
    EXPECT_EQ(std::string(ParseLayout("l.json", text).status().message()),
              "l.json is empty; protobuf JSON of Layout expected, such as "
              "{\"tensors\": [{\"name\": \"text\"}]}");
  }
}

TEST(DependsOnKindTest, OnlyWordsOfOneKindDo) {
  EXPECT_TRUE(DependsOnKind("momentum"));
  EXPECT_TRUE(DependsOnKind("rho"));
  EXPECT_TRUE(DependsOnKind("deadline"));
  EXPECT_TRUE(DependsOnKind("milestones"));
  EXPECT_FALSE(DependsOnKind("warm-up"));
  EXPECT_FALSE(DependsOnKind("plateau-factor"));
  EXPECT_FALSE(DependsOnKind("learning-rate"));
  EXPECT_FALSE(DependsOnKind("max-steps"));
  EXPECT_FALSE(DependsOnKind("optimizer.adam.beta1"));
}

TEST(NewRequestIdTest, IsDifferentEveryTime) {
  std::set<std::string> ids;
  for (int i = 0; i < 100; ++i) ids.insert(NewRequestId());
  EXPECT_THAT(ids, SizeIs(100));
}

}  // namespace
}  // namespace gradd::ctl
