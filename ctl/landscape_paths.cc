#include "ctl/landscape_paths.h"

#include <algorithm>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "client/session.h"
#include "core/base/error.h"
#include "core/base/mutex.h"
#include "core/base/thread_pool.h"
#include "worker/client_session.h"
#include "worker/data/batch_sampler.h"
#include "worker/data/gradient_noise.h"
#include "worker/models/landscape_model.h"
#include "worker/training_loop.h"

namespace gradd::ctl {
namespace {

constexpr size_t kMaxTrials = 32;

// Keeps the point at which each push was made, and the last one.
class PathSession final : public ClientSession {
 public:
  PathSession(std::unique_ptr<Session> session, std::vector<Point>* path)
      : ClientSession(std::move(session)), path_(path) {}

  std::future<absl::StatusOr<PushReport>> Push(const Session::PushInfo& info,
                                               absl::Span<const float> gradient,
                                               absl::Span<float> parameters) override {
    parameters_ = parameters;
    Keep();
    return ClientSession::Push(info, gradient, parameters);
  }
  absl::Status Leave() override {
    Keep();
    return ClientSession::Leave();
  }

 private:
  void Keep() {
    if (parameters_.empty()) return;
    const Point point = {static_cast<double>(parameters_[0]), static_cast<double>(parameters_[1])};
    path_->push_back(point);
  }

  std::vector<Point>* const path_;
  absl::Span<const float> parameters_;  // The loop's own, which outlive the session.
};

// Trains one trial to its end, whatever that is.
absl::Status WalkOne(const std::string& address, const std::string& run, const WalkOptions& options,
                     const TrainAndTest& noise, std::vector<Point>* path) {
  LandscapeModel model(options.landscape, options.start);
  absl::StatusOr<BatchSampler> sampler =
      BatchSampler::Create({noise.train.examples(), 1, 0, /*batch=*/1, options.seed});
  GRADD_RETURN_IF_ERROR(sampler.status());
  SessionOptions session_options;
  session_options.server = address;
  session_options.run = run;
  session_options.worker = "gradctl";
  session_options.give_up_after = absl::Seconds(10);
  absl::StatusOr<std::unique_ptr<Session>> session = Session::Open(std::move(session_options));
  GRADD_RETURN_IF_ERROR(session.status());
  TrainingLoopOptions loop_options;
  loop_options.steps = options.steps;
  TrainingLoop loop(std::move(loop_options), &model, &noise.train, &noise.test, *std::move(sampler),
                    std::make_unique<PathSession>(*std::move(session), path), nullptr);
  const absl::Status trained = loop.Run().status();
  // That is what a picture is to show.
  const std::string reason = ReasonOf(trained);
  const bool diverged = reason == "NON_FINITE" || reason == "GRADIENT_TOO_LARGE";
  return diverged ? absl::OkStatus() : trained;
}

v1::RunTrialsRequest RequestFor(const WalkOptions& options, absl::Span<const Walk> walks) {
  v1::RunTrialsRequest request;
  v1::Run& run = *request.mutable_run();
  *run.mutable_layout() = LandscapeModel(options.landscape, options.start).layout();
  run.mutable_policy()->mutable_synchronous()->set_workers(1);
  request.mutable_idle_timeout()->set_seconds(10);
  for (const Walk& walk : walks) {
    v1::Trial& trial = *request.add_trials();
    *trial.mutable_optimizer() = walk.optimizer;
    trial.mutable_schedule()->set_learning_rate(walk.rate);
    trial.set_max_steps(options.steps);
  }
  return request;
}

// Walks as many as one request may have, some at a time.
absl::Status WalkSome(Client* client, const WalkOptions& options, const TrainAndTest& noise,
                      absl::Span<Walk> walks, const std::function<void()>& more, ThreadPool* pool) {
  std::promise<std::vector<std::string>> promise;
  std::future<std::vector<std::string>> future = promise.get_future();
  absl::Status tried;
  std::thread trials([&] {
    bool named = false;
    tried = client->RunTrials(RequestFor(options, walks), [&](const auto& response) {
      if (!named) promise.set_value({response.names().begin(), response.names().end()});
      named = true;
      return true;
    });
    if (!named) promise.set_value({});
  });
  const std::vector<std::string> names = future.get();
  Mutex mutex;
  absl::Status walked;
  const auto has_failed = [&] {
    MutexLock lock(&mutex);
    return !walked.ok();
  };
  pool->ParallelFor(static_cast<int64_t>(std::min(names.size(), walks.size())), [&](int64_t i) {
    if (has_failed()) return;
    const auto index = static_cast<size_t>(i);
    const absl::Status status =
        WalkOne(client->address(), names[index], options, noise, &walks[index].path);
    MutexLock lock(&mutex);
    walked.Update(status);
    more();
  });
  trials.join();
  // Those that were not walked then waited for it.
  const bool only_idle = tried.ok() || ReasonOf(tried) == "TRIALS_IDLE";
  return only_idle && !walked.ok() ? walked : tried;
}

}  // namespace

absl::Status WalkAll(Client* client, const WalkOptions& options, std::vector<Walk>* walks,
                     const std::function<void()>& more) {
  const absl::StatusOr<TrainAndTest> noise =
      MakeGradientNoise(static_cast<float>(options.gradient_noise), options.seed);
  GRADD_RETURN_IF_ERROR(noise.status());
  ThreadPool pool(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  for (size_t begin = 0; begin < walks->size(); begin += kMaxTrials) {
    const auto some = absl::MakeSpan(*walks).subspan(begin, kMaxTrials);
    GRADD_RETURN_IF_ERROR(WalkSome(client, options, *noise, some, more, &pool));
  }
  return absl::OkStatus();
}

}  // namespace gradd::ctl
