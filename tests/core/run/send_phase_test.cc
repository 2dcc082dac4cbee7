// How long it takes to send parameters, for all ways in which they are sent.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"
#include "tests/support/specs.h"

namespace gradd {
namespace {

constexpr absl::Duration kTime = absl::Seconds(3);

// The clock stands still but for Advance(): what is not about sending takes no time.
struct Scene {
  Scene(v1::Run spec, int64_t block_elements)
      : registry(Limits(), /*threads=*/2, &clock, block_elements) {
    run = *registry.Create("r", spec, "");
    clock.Advance(absl::Seconds(6160));  // The run stands for a while before anybody comes.
  }
  std::unique_ptr<FakeWorker> Worker(const std::string& id) {
    auto worker = std::make_unique<FakeWorker>(&registry, "r", id);
    worker->HoldParameters();
    return worker;
  }
  // A worker that makes the first step and waits for long.
  std::unique_ptr<FakeWorker> LongAfterAStep() {
    auto worker = Worker("a");
    worker->Join();
    worker->Push(1, 0, {1});
    worker->WaitForResult(0);
    clock.Advance(absl::Seconds(6160));
    return worker;
  }
  // They arrive so long after they were sent.
  void DeliverAfter(absl::Duration duration, FakeWorker* worker) {
    clock.Advance(duration);
    worker->DeliverParameters();
  }
  // A push from the first parameters, which brings those of step 1.
  void PushAndDeliver(int64_t sequence, FakeWorker* worker) {
    worker->Push(sequence, 0, {1}, /*want_parameters=*/true);
    worker->WaitForParameters(1);
    DeliverAfter(kTime, worker);
  }
  double send_seconds() const { return run->ReadMetrics().profile.totals()[StepProfile::kSend]; }

  FakeClock clock;
  RunRegistry registry;
  std::shared_ptr<Run> run;
};

struct SendWay {
  const char* name;
  std::function<void(Scene*)> send;
  double seconds;
  int64_t elements = 1;
  bool synchronous = true;
};

TEST(SendPhaseTest, IsTheTimeThatParametersTakeHoweverTheyAreAskedFor) {
  const std::vector<SendWay> kTable = {
      {"at the join, before any step",
       [](Scene* scene) {
         const auto a = scene->Worker("a");
         a->Join(/*want_parameters=*/true);
         scene->DeliverAfter(kTime, a.get());
       },
       3},
      {"at a join long after a step",
       [](Scene* scene) {
         scene->LongAfterAStep()->Leave();
         const auto again = scene->Worker("a");
         again->Join(/*want_parameters=*/true);
         scene->DeliverAfter(kTime, again.get());
       },
       3},
      {"with the result of a push",
       [](Scene* scene) {
         const auto a = scene->Worker("a");
         a->Join();
         scene->PushAndDeliver(/*sequence=*/1, a.get());
       },
       3},
      {"to an asynchronous worker, while another one makes a step",
       [](Scene* scene) {
         const auto a = scene->Worker("a");
         const auto b = scene->Worker("b");
         a->Join();
         b->Join();
         a->Push(1, 0, {1}, /*want_parameters=*/true);
         a->WaitForParameters(1);
         scene->clock.Advance(kTime);
         b->Push(1, 1, {1});
         b->WaitForResult(0);
         scene->DeliverAfter(kTime, a.get());
       },
       6, 1, false},
      {"block by block, before the step is done",
       [](Scene* scene) {
         const auto a = scene->Worker("a");
         a->Join();
         a->Push(1, 0, std::vector<float>(4 * kTileElements, 1), /*want_parameters=*/true);
         a->WaitForParameters(1);
         scene->run->RequestSnapshot(SnapshotContents::kTraining, [](const auto&) {});
         // The step has been committed by now: its statistics are there.
         while (scene->run->Progress().step() < 1) {
         }
         scene->DeliverAfter(kTime, a.get());
       },
       3, 4 * kTileElements},
      {"with a duplicate, long after its step",
       [](Scene* scene) {
         const auto a = scene->LongAfterAStep();
         scene->PushAndDeliver(/*sequence=*/1, a.get());
       },
       3},
      {"with a push that came too late",
       [](Scene* scene) {
         const auto a = scene->LongAfterAStep();
         scene->PushAndDeliver(/*sequence=*/2, a.get());
       },
       3},
      {"in shared memory",
       [](Scene* scene) {
         const auto a = scene->Worker("a");
         a->SetSameHost();
         v1::TrainRequest join;
         join.mutable_join()->set_run("runs/r");
         join.mutable_join()->set_worker("a");
         join.mutable_join()->set_want_shared_memory(true);
         a->Request(join);
         a->Push(1, 0, {1}, /*want_parameters=*/true);
         a->WaitForResult(0);
         scene->clock.Advance(kTime);
       },
       0},
  };
  for (const SendWay& way : kTable) {
    Scene scene(way.synchronous ? SynchronousSpec(way.elements, 1) : AsynchronousSpec(way.elements),
                way.elements > 1 ? kTileElements : kBlockElements);
    way.send(&scene);
    EXPECT_DOUBLE_EQ(scene.send_seconds(), way.seconds) << way.name;
  }
}

}  // namespace
}  // namespace gradd
