#ifndef GRADD_TESTS_CORE_RUN_SCHEDULES_CRASH_SCHEDULE_H_
#define GRADD_TESTS_CORE_RUN_SCHEDULES_CRASH_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/run/event_log.h"
#include "core/store/layout.h"
#include "tests/core/durability/kept_server.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace gradd {

// One play of a server with a state directory, whose power fails at some call of the file system:
// workers and people do what a seed says until then, and another server goes on on what is left.
// What it goes on from has to be where the events of the run had led at some time, and not earlier
// than what anybody was told; and it has to go on.
//
//   CrashSchedule schedule(seed);
//   schedule.Play();
//   EXPECT_EQ(schedule.fault(), "") << "seed " << seed;
class CrashSchedule {
 public:
  explicit CrashSchedule(uint64_t seed);
  ~CrashSchedule();

  void Play();

  // What went wrong first; empty if nothing did.
  const std::string& fault() const { return fault_; }
  const std::string& trace() const { return trace_; }
  bool lost_steps() const { return lost_steps_; }
  int64_t replayed_steps() const { return replayed_steps_; }
  // The same, batches of its data set that were used up.
  int64_t replayed_batches() const { return replayed_batches_; }

 private:
  struct Happened {
    state::v1::Event event;
    std::vector<std::shared_ptr<const StagedPush>> pushes;
  };
  // All that happens to a run; beside the log that it has.
  class Teed;
  // What somebody asked for; it is told of when there is an answer.
  struct Asked {
    std::string what;
    int64_t event = 0;  // Of the run, when it was in effect.
    std::shared_ptr<std::optional<absl::Status>> answer;
  };

  size_t Draw(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }
  bool Chance(size_t one_in) { return Draw(one_in) == 0; }
  template <typename... Parts>
  void Note(const Parts&... parts) {
    absl::StrAppend(&trace_, parts..., "\n");
  }
  void Fail(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }

  void Act();
  void ActOf(KeptWorker* worker);
  // From that step; where the run has a data set, with some of the worker's batches, or it asks for
  // some.
  void Push(KeptWorker* worker, int64_t base_step);
  void Govern();
  // Hears what is said.
  void Listen();
  // Up to which event anybody was told: of any kind where there is a journal, of what people did
  // elsewhere.
  int64_t ToldEvents() const;
  void CheckRecovered();
  void GoOn();

  std::mt19937_64 random_;
  FakeClock clock_;
  bool journal_ = false;
  v1::Run spec_;
  std::unique_ptr<FakeFileSystem> files_;
  std::optional<Layout> layout_;  // Of spec_; outlives what has happened.
  std::unique_ptr<KeptServer> server_;
  std::vector<KeptWorker> workers_;
  std::shared_ptr<std::vector<Happened>> happened_ = std::make_shared<std::vector<Happened>>();
  std::vector<Asked> asked_;
  // Pushes that were answered for good: worker, sequence, timeline.
  std::vector<std::pair<std::string, int64_t>> answered_;
  uint64_t told_timeline_ = 0;
  bool lost_steps_ = false;
  int64_t replayed_steps_ = 0;
  int64_t replayed_batches_ = 0;
  std::string fault_;
  std::string trace_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_SCHEDULES_CRASH_SCHEDULE_H_
