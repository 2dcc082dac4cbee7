#include "worker/training_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "tests/worker/fake_session.h"
#include "worker/data/synthetic.h"
#include "worker/models/dense_network.h"

namespace gradd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

constexpr uint64_t kSeed = 11;

// A small classification problem, a model for it and a run to train in.
class TrainingLoopTest : public testing::Test {
 protected:
  TrainingLoopTest() {
    SyntheticOptions synthetic;
    synthetic.examples = 200;
    synthetic.test_examples = 100;
    synthetic.features = 6;
    synthetic.classes = 3;
    synthetic.seed = kSeed;
    data_ = MakeSynthetic(synthetic).value();
    Use({8});
    options_.log = [this](const std::string& line) { log_.push_back(line); };
    options_.leave_grace = absl::ZeroDuration();
    options_.stop = &stop_;
  }

  void Use(const std::vector<int64_t>& hidden) {
    model_ = std::make_unique<DenseNetwork<float>>(
        data_.train.features(), hidden, data_.train.classes(), Loss::kSoftmaxCrossEntropy);
    run_.parameters.resize(static_cast<size_t>(model_->parameter_count()));
    for (size_t i = 0; i < run_.parameters.size(); ++i) {
      run_.parameters[i] = 0.1F * static_cast<float>(static_cast<int>(i % 7) - 3);
    }
    initial_ = run_.parameters;
  }

  absl::StatusOr<TrainingSummary> Run() {
    BatchSampler sampler =
        BatchSampler::Create({data_.train.examples(), 1, 0, batch_, kSeed}).value();
    return TrainingLoop(options_, model_.get(), &data_.train, &data_.test, std::move(sampler),
                        std::make_unique<FakeSession>(&run_), &evaluation_)
        .Run();
  }

  std::atomic<bool> stop_{false};
  TrainAndTest data_;
  std::unique_ptr<Model<float>> model_;
  int64_t batch_ = 10;
  FakeRun run_;
  std::vector<float> initial_;  // Of its parameters.
  FakeEvaluation evaluation_{&run_};
  TrainingLoopOptions options_;
  std::vector<std::string> log_;
};

TEST_F(TrainingLoopTest, LearnsUntilTheRunIsFinished) {
  run_.max_steps = 300;
  const absl::StatusOr<TrainingSummary> summary = Run();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->pushes, 300);
  EXPECT_EQ(summary->applied, 300);
  EXPECT_EQ(summary->step, 300);
  EXPECT_FALSE(summary->stopped);
  EXPECT_EQ(run_.leaves, 1);
  ASSERT_THAT(evaluation_.reported, SizeIs(1));
  EXPECT_GT(evaluation_.reported[0].accuracy(), 0.9);
  EXPECT_EQ(evaluation_.reported[0].examples(), 100);
}

TEST_F(TrainingLoopTest, PushesTheGradientOfEachSequencesMiniBatch) {
  const std::vector<float> start = run_.parameters;
  run_.max_steps = 2;
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(run_.pushes, SizeIs(2));
  BatchSampler sampler =
      BatchSampler::Create({data_.train.examples(), 1, 0, batch_, kSeed}).value();
  Batch batch;
  data_.train.Gather(sampler.Batch(1), &batch);
  std::vector<float> gradient(start.size());
  EXPECT_EQ(model_->LossAndGradient(start, batch.View(), absl::MakeSpan(gradient)),
            run_.pushes[0].loss);
  EXPECT_EQ(run_.pushes[0].gradient, gradient);
  EXPECT_EQ(run_.pushes[0].examples, 10);
  EXPECT_EQ(run_.pushes[0].base_step, 0);
  EXPECT_EQ(run_.pushes[1].base_step, 1);
}

TEST_F(TrainingLoopTest, ARestartedWorkerGoesOnWithItsNextMiniBatch) {
  const FakeRun fresh = run_;
  run_.max_steps = 40;
  ASSERT_TRUE(Run().ok());
  const std::vector<RecordedPush> expected = run_.pushes;
  run_ = fresh;
  for (const int64_t steps : {7, 30, 40}) {
    options_.steps = steps;
    const absl::StatusOr<TrainingSummary> summary = Run();
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_EQ(run_.last_sequence, steps);
  }
  ASSERT_EQ(run_.pushes.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(run_.pushes[i].gradient, expected[i].gradient) << i;
    EXPECT_EQ(run_.pushes[i].loss, expected[i].loss) << i;
  }
}

TEST_F(TrainingLoopTest, AFullBatchIsTheWholeShareHoweverItIsFedIn) {
  SyntheticOptions synthetic;
  synthetic.examples = 2500;  // Three parts.
  synthetic.features = 6;
  synthetic.classes = 3;
  data_ = MakeSynthetic(synthetic).value();
  const std::vector<float> start = run_.parameters;
  batch_ = 0;
  run_.max_steps = 2;
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(run_.pushes, SizeIs(2));
  EXPECT_EQ(run_.pushes[1].examples, 2500);
  Batch all;
  data_.train.GatherRange(0, 2500, &all);
  std::vector<float> gradient(start.size());
  const double loss = model_->LossAndGradient(start, all.View(), absl::MakeSpan(gradient));
  EXPECT_NEAR(run_.pushes[0].loss, loss, 1e-6);
  for (size_t i = 0; i < gradient.size(); ++i) {
    EXPECT_NEAR(run_.pushes[0].gradient[i], gradient[i], 1e-6) << i;
  }
  EXPECT_LT(run_.pushes[1].loss, run_.pushes[0].loss);
}

TEST_F(TrainingLoopTest, PushesThatWereNotAppliedDoNotStopTraining) {
  run_.max_steps = 10;
  for (const v1::PushOutcome outcome :
       {v1::PUSH_OUTCOME_STALE, v1::PUSH_OUTCOME_SUPERSEDED, v1::PUSH_OUTCOME_DUPLICATE}) {
    run_.script.push_back([this, outcome](PushReport report) {
      report.outcome = outcome;
      report.step = run_.step;
      report.parameters_step = -1;
      return report;
    });
    run_.script.push_back(nullptr);
  }
  const absl::StatusOr<TrainingSummary> summary = Run();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->pushes, 13);
  EXPECT_EQ(summary->applied, 10);
  // At the start, and wherever the report brought no parameters.
  EXPECT_EQ(run_.pulls, 4);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(run_.pushes[i].sequence, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(run_.pushes[i].base_step, static_cast<int64_t>(i / 2));
  }
}

// The batches are those that the server hands out, whatever becomes of the pushes, and training
// ends with them.
TEST_F(TrainingLoopTest, ARunWithADataSetHandsOutTheBatches) {
  for (const bool prefetch : {false, true}) {
    SCOPED_TRACE(prefetch);
    run_ = FakeRun();
    run_.parameters = initial_;
    options_.prefetch = prefetch;
    run_.data = std::make_shared<v1::DataSet>();
    run_.data->set_examples(200);
    run_.data->set_batch_size(30);
    run_.data->set_epochs(2);
    run_.last_batch = 13;
    run_.script = {nullptr, nullptr,
                   [this](PushReport report) {
                     report.outcome = v1::PUSH_OUTCOME_BATCH_USED;
                     report.step = report.parameters_step = run_.step;
                     return report;
                   },
                   [this](const PushReport&) -> absl::StatusOr<PushReport> {
                     --run_.last_sequence;
                     return InvalidArgument("BATCH_LEASE_ENDED", "it has no lease of batch 3");
                   }};
    const absl::StatusOr<TrainingSummary> summary = Run();
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_EQ(summary->applied, 12);
    ASSERT_THAT(run_.pushes, SizeIs(14));
    for (size_t i = 0; i < run_.pushes.size(); ++i) {
      EXPECT_THAT(run_.pushes[i].batches, ElementsAre(static_cast<int64_t>(i)));
      EXPECT_EQ(run_.pushes[i].examples, i % 7 == 6 ? 20 : 30) << i;
    }
    EXPECT_EQ(run_.leaves, 1);
    EXPECT_THAT(log_, Contains("it has no lease of batch 3"));
  }
}

// Others have all of them meanwhile, and make steps.
TEST_F(TrainingLoopTest, AfterAWaitForBatchesItComputesFromThePresentParameters) {
  for (const bool prefetch : {false, true}) {
    SCOPED_TRACE(prefetch);
    run_ = FakeRun();
    run_.parameters = initial_;
    options_.prefetch = prefetch;
    run_.data = std::make_shared<v1::DataSet>();
    run_.data->set_examples(200);
    run_.data->set_batch_size(30);
    run_.data->set_epochs(1);
    run_.last_batch = 6;
    int waits = 0;
    run_.on_wait = [&] {
      // The first batches come at once, and the fourth one only after a while.
      if (run_.next_batch != 3 || ++waits > 3) return false;
      ++run_.step;
      run_.timeline = 2;
      for (float& parameter : run_.parameters) parameter += 0.5F;
      return true;
    };
    const absl::StatusOr<TrainingSummary> summary = Run();
    ASSERT_TRUE(summary.ok()) << summary.status();
    ASSERT_THAT(run_.pushes, SizeIs(7));
    EXPECT_EQ(run_.pulls, 2) << "at the beginning, and after the wait";
    EXPECT_EQ(run_.pushes[2].base_step, prefetch ? 1 : 2);
    EXPECT_EQ(run_.pushes[3].base_step, 6);
    EXPECT_EQ(run_.timelines_pushed[2], 1U);
    EXPECT_EQ(run_.timelines_pushed[3], 2U);
    EXPECT_EQ(summary->step, 10);
  }
}

// The run goes back by a step that it has made; the worker computes the same mini-batch anew.
TEST_F(TrainingLoopTest, APushThatIsRolledBackIsComputedAnewFromThePresentParameters) {
  for (const bool prefetch : {false, true}) {
    SCOPED_TRACE(prefetch);
    run_ = FakeRun();
    run_.parameters = initial_;
    options_.prefetch = prefetch;
    run_.max_steps = 5;
    run_.script = {nullptr, [this](PushReport report) {
                     run_.timeline = 2;
                     --run_.last_sequence;
                     report.outcome = v1::PUSH_OUTCOME_ROLLED_BACK;
                     report.step = report.parameters_step = run_.step;
                     report.timeline = 2;
                     return report;
                   }};
    const absl::StatusOr<TrainingSummary> summary = Run();
    ASSERT_TRUE(summary.ok()) << summary.status();
    EXPECT_EQ(summary->pushes, 6);
    EXPECT_EQ(summary->applied, 5);
    EXPECT_EQ(run_.timelines_pushed, std::vector<uint64_t>({1, 1, 2, 2, 2, 2}));
    EXPECT_EQ(run_.pushes[2].sequence, run_.pushes[1].sequence);
    EXPECT_EQ(run_.pushes[2].base_step, 1) << "not what was computed ahead";
  }
}

TEST_F(TrainingLoopTest, ARejectedPushEndsTrainingWithTheServersWords) {
  run_.script.push_back([](const PushReport&) {
    return absl::InvalidArgumentError("push 1: the gradient is not finite");
  });
  const absl::Status status = Run().status();
  EXPECT_EQ(status.message(), "push 1: the gradient is not finite");
  EXPECT_EQ(run_.leaves, 1);
}

TEST_F(TrainingLoopTest, APushThatComesAfterTheLastStepIsNoError) {
  run_.script.push_back(nullptr);
  run_.script.push_back([this](const PushReport&) {
    run_.finished_early = true;
    return absl::FailedPreconditionError("the run is finished");
  });
  const absl::StatusOr<TrainingSummary> summary = Run();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->applied, 1);
}

TEST_F(TrainingLoopTest, ADivergedPushIsRefusedWithWhatMayHelp) {
  run_.script.push_back([](const PushReport&) {
    return Error(absl::StatusCode::kInvalidArgument, "NON_FINITE", "header.loss: nan");
  });
  const absl::Status status = Run().status();
  EXPECT_EQ(ReasonOf(status), "NON_FINITE");
  EXPECT_EQ(status.message(),
            "header.loss: nan: training diverges; a smaller learning rate may help");
  EXPECT_EQ(run_.leaves, 1);
}

TEST_F(TrainingLoopTest, AfterAnAccumulatedPushItGoesOnFromTheParametersThatItHas) {
  run_.script.push_back([](PushReport report) {
    report.outcome = v1::PUSH_OUTCOME_ACCUMULATED;
    report.step = 0;
    report.parameters_step = -1;
    return report;
  });
  run_.max_steps = 2;
  const absl::StatusOr<TrainingSummary> summary = Run();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->pushes, summary->applied);
  EXPECT_EQ(run_.pulls, 1) << "at the beginning";
}

TEST_F(TrainingLoopTest, ASkippedPushIsFollowedByTheNextMiniBatch) {
  run_.script.push_back([](PushReport report) {
    report.outcome = v1::PUSH_OUTCOME_SKIPPED;
    report.step = report.parameters_step = 0;
    return report;
  });
  run_.max_steps = 3;
  const absl::StatusOr<TrainingSummary> summary = Run();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(run_.pushes[1].sequence, 2);
  EXPECT_EQ(run_.pushes[1].base_step, 0);
  EXPECT_EQ(summary->applied, summary->pushes - 1);
}

TEST_F(TrainingLoopTest, AStopLeavesTheRunThoughAPushIsNeverAnswered) {
  run_.on_push = [this] {
    run_.swallow = run_.last_sequence == 3;
    stop_ = run_.swallow;
  };
  const absl::StatusOr<TrainingSummary> summary = Run();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_TRUE(summary->stopped);
  EXPECT_EQ(summary->pushes, 3);
  EXPECT_EQ(run_.leaves, 1);
  EXPECT_THAT(evaluation_.reported, SizeIs(0));
}

TEST_F(TrainingLoopTest, AStopIsSeenDuringADelay) {
  options_.delay = absl::Hours(1);
  run_.max_steps = 5;
  stop_ = true;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(run_.pushes, SizeIs(0));
}

TEST_F(TrainingLoopTest, AFinishedRunIsEvaluatedAndLeft) {
  run_.max_steps = run_.step = 5;
  const absl::StatusOr<TrainingSummary> summary = Run();
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->pushes, 0);
  ASSERT_THAT(evaluation_.reported, SizeIs(1));
  EXPECT_EQ(evaluation_.reported[0].step(), 5);
}

TEST_F(TrainingLoopTest, EvaluatesAtIntervalsAndOnceAtTheEnd) {
  const auto steps = [this] {
    std::vector<int64_t> reported;
    for (const v1::Evaluation& evaluation : evaluation_.reported) {
      reported.push_back(evaluation.step());
    }
    return reported;
  };
  options_.eval_every = 10;
  run_.max_steps = 25;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(steps(), ElementsAre(10, 20, 25));
  ASSERT_THAT(log_, SizeIs(3));
  EXPECT_THAT(log_[0], testing::MatchesRegex("step 10 loss [0-9].[0-9]{4} test accuracy "
                                             "[01].[0-9]{4}"));
  EXPECT_THAT(log_[2], StartsWith("step 25 loss "));

  evaluation_.reported.clear();
  run_.max_steps = 40;
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(steps(), ElementsAre(30, 40));
}

TEST_F(TrainingLoopTest, AnEvaluationThatFailsIsLoggedButTheLastOneCounts) {
  options_.eval_every = 2;
  run_.max_steps = 5;
  evaluation_.error = absl::UnavailableError("no server");
  EXPECT_EQ(Run().status().message(), "no server");
  EXPECT_EQ(run_.step, 5);
  EXPECT_THAT(log_, ElementsAre("evaluation failed, training goes on: no server",
                                "evaluation failed, training goes on: no server"));
}

TEST_F(TrainingLoopTest, RegressionIsEvaluatedWithoutAnAccuracy) {
  SyntheticOptions synthetic;
  synthetic.examples = 100;
  synthetic.features = 4;
  synthetic.classes = 0;
  synthetic.noise = 0;
  data_ = MakeSynthetic(synthetic).value();
  model_ = std::make_unique<DenseNetwork<float>>(4, std::vector<int64_t>{}, 1, Loss::kSquaredError);
  run_.parameters.assign(5, 0);
  run_.max_steps = 200;
  ASSERT_TRUE(Run().ok());
  ASSERT_THAT(evaluation_.reported, SizeIs(1));
  EXPECT_FALSE(evaluation_.reported[0].has_accuracy());
  EXPECT_LT(evaluation_.reported[0].loss(), 1e-6);
  EXPECT_THAT(log_, ElementsAre("step 200 loss 0.0000"));
}

TEST_F(TrainingLoopTest, StepsInSteadyStateKeepNoMemory) {
  if (mallinfo2().uordblks == 0) GTEST_SKIP() << "this allocator does not count";
  run_.record = false;
  run_.max_steps = 400;
  size_t early = 0;
  size_t late = 0;
  run_.on_push = [&] {
    // Both well behind the start, and the second 18 epochs of 20 steps later.
    if (run_.step == 25) early = mallinfo2().uordblks;
    if (run_.step == 395) late = mallinfo2().uordblks;
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(late, early);
}

TEST_F(TrainingLoopTest, WithPrefetchEveryGradientIsOneStepOldAndComputedWhileAPushIsInFlight) {
  options_.prefetch = true;
  run_.max_steps = 5;
  ASSERT_TRUE(Run().ok());
  ASSERT_EQ(run_.pushes.size(), 5u);
  std::vector<int64_t> base_steps;
  for (const RecordedPush& push : run_.pushes) base_steps.push_back(push.base_step);
  EXPECT_EQ(base_steps, std::vector<int64_t>({0, 0, 1, 2, 3}));
  // Each gradient is that of its own mini-batch at its base step's parameters.
  std::vector<std::vector<float>> history = {initial_};
  for (const RecordedPush& push : run_.pushes) {
    history.push_back(history.back());
    for (size_t i = 0; i < initial_.size(); ++i) {
      history.back()[i] -= run_.learning_rate * push.gradient[i];
    }
  }
  BatchSampler sampler =
      BatchSampler::Create({data_.train.examples(), 1, 0, batch_, kSeed}).value();
  for (const RecordedPush& push : run_.pushes) {
    Batch batch;
    data_.train.Gather(sampler.Batch(push.sequence), &batch);
    std::vector<float> expected(initial_.size());
    model_->LossAndGradient(history[static_cast<size_t>(push.base_step)], batch.View(),
                            absl::MakeSpan(expected));
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(push.gradient[i], expected[i], 1e-6) << "sequence " << push.sequence;
    }
  }
}

TEST_F(TrainingLoopTest, PrefetchOnASynchronousRunSaysWhatItNeeds) {
  options_.prefetch = true;
  run_.script = {nullptr, [](PushReport report) {
                   report.outcome = v1::PUSH_OUTCOME_SUPERSEDED;
                   return report;
                 }};
  const auto summary = Run();
  EXPECT_EQ(summary.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(summary.status().message(), testing::HasSubstr("asynchronous run"));
}

// A synchronous run with gradient descent: a step happens when all workers' gradients are
// in, averaged by their examples in the order of ranks.
class SynchronousRun {
 public:
  SynchronousRun(std::vector<float> parameters, size_t workers, int64_t max_steps)
      : parameters_(std::move(parameters)), pushes_(workers), max_steps_(max_steps) {}

  std::unique_ptr<TrainingSession> Join(size_t rank) {
    return std::make_unique<Member>(this, rank);
  }
  const std::vector<float>& parameters() const { return parameters_; }

 private:
  struct PendingPush {
    int64_t examples = 0;
    absl::Span<const float> gradient;
    absl::Span<float> parameters;
    std::promise<absl::StatusOr<PushReport>> report;
  };

  class Member : public TrainingSession {
   public:
    Member(SynchronousRun* run, size_t rank) : run_(run), rank_(rank) {}
    std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                                 absl::Span<const float> gradient,
                                                 absl::Span<float> parameters) override {
      const std::lock_guard<std::mutex> lock(run_->mutex_);
      PendingPush& push = run_->pushes_[rank_];
      push = {info.examples, gradient, parameters, {}};
      auto future = push.report.get_future();
      if (++run_->arrived_ == run_->pushes_.size()) run_->Step();
      return future;
    }
    absl::StatusOr<int64_t> Pull(absl::Span<float> parameters) override {
      const std::lock_guard<std::mutex> lock(run_->mutex_);
      std::copy(run_->parameters_.begin(), run_->parameters_.end(), parameters.begin());
      return run_->step_;
    }
    absl::Status Leave() override { return absl::OkStatus(); }
    uint64_t timeline() const override { return 1; }
    int64_t next_sequence() const override {
      const std::lock_guard<std::mutex> lock(run_->mutex_);
      return run_->step_ + 1;
    }
    bool finished() const override {
      const std::lock_guard<std::mutex> lock(run_->mutex_);
      return run_->step_ >= run_->max_steps_;
    }

   private:
    SynchronousRun* run_;
    size_t rank_;
  };

  void Step() {
    double examples = 0;
    for (const PendingPush& push : pushes_) examples += static_cast<double>(push.examples);
    for (size_t i = 0; i < parameters_.size(); ++i) {
      double gradient = 0;
      for (const PendingPush& push : pushes_) {
        gradient +=
            static_cast<double>(push.examples) / examples * static_cast<double>(push.gradient[i]);
      }
      parameters_[i] -= static_cast<float>(0.2 * gradient);
    }
    ++step_;
    arrived_ = 0;
    for (PendingPush& push : pushes_) {
      std::copy(parameters_.begin(), parameters_.end(), push.parameters.begin());
    }
    // Last: a worker goes on as soon as it has its report.
    for (PendingPush& push : pushes_) {
      PushReport report;
      report.outcome = v1::PUSH_OUTCOME_APPLIED;
      report.step = report.parameters_step = report.sequence = step_;
      push.report.set_value(report);
    }
  }

  mutable std::mutex mutex_;
  std::vector<float> parameters_;
  std::vector<PendingPush> pushes_;
  const int64_t max_steps_;
  size_t arrived_ = 0;
  int64_t step_ = 0;
};

class SynchronousTrainingTest : public TrainingLoopTest {
 protected:
  std::vector<float> Train(int64_t workers, int64_t batch) {
    SynchronousRun run(run_.parameters, static_cast<size_t>(workers), 100);
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < workers; ++rank) {
      threads.emplace_back([&, rank] {
        DenseNetwork<float> model(data_.train.features(), {8}, data_.train.classes(),
                                  Loss::kSoftmaxCrossEntropy);
        const Dataset no_test;
        TrainingLoop loop(
            {}, &model, &data_.train, &no_test,
            BatchSampler::Create({data_.train.examples(), workers, rank, batch, kSeed}).value(),
            run.Join(static_cast<size_t>(rank)), nullptr);
        const absl::StatusOr<TrainingSummary> summary = loop.Run();
        EXPECT_TRUE(summary.ok()) << summary.status();
        EXPECT_EQ(summary->applied, 100);
      });
    }
    for (std::thread& thread : threads) thread.join();
    return run.parameters();
  }

  static void ExpectClose(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0;
    double norm = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double delta = static_cast<double>(a[i]) - static_cast<double>(b[i]);
      difference += delta * delta;
      norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    EXPECT_LT(std::sqrt(difference / norm), 1e-5);
  }
};

TEST_F(SynchronousTrainingTest, TwoWorkersEndWhereOneWithTwiceTheBatchEnds) {
  const std::vector<float> one = Train(1, 20);
  EXPECT_NE(one, run_.parameters);
  ExpectClose(Train(2, 10), one);
}

TEST_F(SynchronousTrainingTest, FullBatchesOfUnequalSharesEndWhereASingleOneEnds) {
  // 200 examples among 3: shares of 66 and 67, weighted by their size.
  ExpectClose(Train(3, 0), Train(1, 0));
}

}  // namespace
}  // namespace gradd
