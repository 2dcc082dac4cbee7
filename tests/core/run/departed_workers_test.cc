// What workers that are gone cost their run: room for their ledgers, and no time.

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
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

#ifdef NDEBUG
constexpr int kManyWorkers = 60'000;
#else
constexpr int kManyWorkers = 4'000;  // Each join and leave compares counts with all ids.
#endif

// A server with one run, two workers, and as many more as `departed` that were there and left.
class TickedServer {
 public:
  explicit TickedServer(int departed) : registry_(Limits(), /*threads=*/1, &clock_) {
    v1::Run spec = AsynchronousSpec(1);
    spec.mutable_lease_duration()->set_seconds(3600);
    run_ = *registry_.Create("r", spec, "");
    for (int i = 0; i < departed; ++i) {
      FakeWorker gone(&registry_, "r", "gone" + std::to_string(i));
      gone.Join();
      gone.Leave();
    }
    for (const char* const name : {"a", "z"}) {
      workers_.push_back(std::make_unique<FakeWorker>(&registry_, "r", name));
      workers_.back()->Join();
    }
  }

  int64_t live_workers() const { return run_->Progress().live_workers(); }
  // The processor time that a hundred ticks take this thread, a second apart: all that a tick does
  // now and then is among them. What others do on the machine does not count.
  absl::Duration TimeOfTicks() {
    const absl::Duration begin = ThreadTime();
    for (int i = 0; i < 100; ++i) {
      clock_.Advance(absl::Seconds(1));
      registry_.Tick();
    }
    return ThreadTime() - begin;
  }

 private:
  static absl::Duration ThreadTime() {
    timespec time = {};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return absl::DurationFromTimespec(time);
  }

  FakeClock clock_;
  RunRegistry registry_;
  std::shared_ptr<gradd::Run> run_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
};

// A look at each id would take some hundred times as long.
TEST(DepartedWorkersTest, CostATickNothing) {
  TickedServer none(0);
  TickedServer many(kManyWorkers);
  ASSERT_EQ(none.live_workers(), 2);
  ASSERT_EQ(many.live_workers(), 2);
  absl::Duration of_none = absl::InfiniteDuration();
  absl::Duration of_many = absl::InfiniteDuration();
  for (int round = 0; round < 30; ++round) {
    of_none = std::min(of_none, none.TimeOfTicks());
    of_many = std::min(of_many, many.TimeOfTicks());
  }
  EXPECT_LT(of_many, 5 * of_none) << "without departed workers: " << of_none;
}

}  // namespace
}  // namespace gradd
