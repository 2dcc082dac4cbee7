#ifndef GRADD_TESTS_CORE_RUN_SCHEDULES_RANDOM_SCHEDULE_H_
#define GRADD_TESTS_CORE_RUN_SCHEDULES_RANDOM_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/run/run_registry.h"
#include "core/run/trials.h"
#include "tests/core/run/schedules/asked_updates.h"
#include "tests/core/run/schedules/data_model.h"
#include "tests/core/run/schedules/random_worker.h"
#include "tests/core/run/schedules/run_model.h"
#include "tests/support/fake_clock.h"
#include "tests/support/replayed_engine.h"
#include "tests/support/replayed_record.h"
#include "tests/support/virtual_executor.h"

namespace gradd {

// One play of a server: a few runs, their workers and the people who look after them, all of whom
// do what a seed says, in an order that it says, while the server's tasks run in between and time
// passes as it says. Nothing waits for anything. Models say what must come of it.
//
// Workers join, push, repeat themselves, take pushes back, push what is malformed, late or of a
// timeline that is not the present one, leave, fall silent and die. People change, pause, resume,
// try out and delete runs and begin timelines. What is new in a run comes here as something that is
// done (RandomWorker, RandomSchedule) and as a rule of what must come of it (RunModel).
//
//   RandomSchedule schedule(seed);
//   schedule.Play();
//   EXPECT_EQ(schedule.fault(), "") << "seed " << seed;
class RandomSchedule {
 public:
  explicit RandomSchedule(uint64_t seed);
  ~RandomSchedule();

  void Play();

  // What went wrong first; empty if nothing did.
  const std::string& fault() const { return fault_; }
  // What was done and what came of it: the same for the same seed.
  const std::string& trace() const { return trace_; }
  int64_t steps() const { return steps_; }

 private:
  // A run made once more from its events.
  struct Replayed final : EventLog {
    void Append(const state::v1::Event& event, Pushes pushes) override {
      record.Append(event, pushes);
      if (data.has_value()) data->Append(event);
      if (engine.has_value()) engine->Append(event, pushes);
    }
    ReplayedRecord record;
    std::optional<DataModel> data;         // Where the run has a data set.
    std::optional<ReplayedEngine> engine;  // Not always: it takes as long as the run.
  };
  struct Playground {
    std::string id;
    int64_t workers = 1;  // That a synchronous run starts with.
    v1::Run spec;
    std::shared_ptr<Run> run;  // Null: it was deleted.
    std::shared_ptr<Replayed> replayed;
    std::unique_ptr<RunModel> model;
    std::unique_ptr<AskedUpdates> updates;
  };

  // In [0, count).
  size_t Draw(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }
  bool Chance(size_t one_in) { return Draw(one_in) == 0; }
  template <typename... Parts>
  void Note(const Parts&... parts) {
    absl::StrAppend(&trace_, parts..., "\n");
  }
  void Fail(const std::string& what);

  void Create(Playground* playground);
  void Act();
  void RunTasks();
  void Look();  // People's reading: parameters, descriptions.
  void Govern();
  void Change(Playground* playground);
  void Stop(Playground* playground);
  void PassTime(absl::Duration duration);
  // After every action: tells the models what came of it.
  void Settle(bool ticked = false);
  void CheckClaims();
  // That the events of the runs lead to what they are.
  void CheckEvents();

  // The end: everybody but those who are gone finishes what it has begun, and nothing may wait.
  void Finish();
  void CheckEnd();

  std::mt19937_64 random_;
  std::mt19937_64 when_;  // Records are compared.
  FakeClock clock_;
  bool room_is_short_ = false;
  VirtualExecutor* executor_ = nullptr;  // The registry's.
  bool idle_ = true;                     // It was, after the last action.
  std::unique_ptr<RunRegistry> registry_;
  std::vector<Playground> playgrounds_;
  std::vector<std::unique_ptr<RandomWorker>> workers_;
  std::vector<std::pair<std::shared_ptr<const Snapshot>, std::vector<float>>> read_;
  std::vector<std::unique_ptr<Trials>> trials_;
  std::string fault_;
  std::string trace_;
  int64_t steps_ = 0;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_SCHEDULES_RANDOM_SCHEDULE_H_
