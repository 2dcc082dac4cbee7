#ifndef GRADD_TESTS_SUPPORT_TRAINEE_H_
#define GRADD_TESTS_SUPPORT_TRAINEE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/run/run.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_worker.h"

namespace gradd {

// A part of a push.
struct Part {
  int64_t offset = 0;
  // All elements from there on; or some of `rows` of a tensor of which the chunk covers that many.
  std::vector<float> values = {};
  int64_t tensor_elements = 0;  // 0: `values` are all.
  std::vector<uint32_t> rows = {};
  // Instead of them: data in another encoding.
  v1::Encoding encoding = v1::ENCODING_UNSPECIFIED;
  std::vector<std::byte> data = {};
  int64_t elements = 0;  // SPARSE only.
};

// Whether a push has become part of a step, or of the next one.
bool IsTaken(const v1::PushResult& result);

// With all slots; the run is settled.
std::shared_ptr<const Snapshot> SnapshotOf(Run* run);
// Of parameters, slots, and the norms of the last step: gradient, update, parameters.
std::string BitsOf(const Snapshot& snapshot, const std::array<double, 3>& norms);
std::string BitsOf(Run* run);
// The messages of a push.
std::vector<v1::TrainRequest> RequestsOf(const v1::PushHeader& header,
                                         const std::vector<Part>& parts);
Payload PayloadOf(const Part& part);

// One run on a server of its own, with its synchronous workers "a", "b", ... joined.
class Trainee {
 public:
  explicit Trainee(const v1::Run& spec, int64_t block_elements = kTileElements, int threads = 2,
                   const Limits& limits = Limits());
  // A run that goes on from what `from` gives for that server.
  using OriginMaker = std::function<RunOrigin(const RunEnvironment& environment)>;
  explicit Trainee(const OriginMaker& from, int64_t block_elements = kTileElements, int threads = 2,
                   const Limits& limits = Limits());

  // Pushes for the present step, and does not wait for the answer.
  void Send(size_t worker, const std::vector<Part>& parts, int64_t examples = 1);
  // The same; with the last worker's push, waits until all are applied or accumulated.
  void Push(size_t worker, const std::vector<Part>& parts, int64_t examples = 1);
  // Waits for the next answer to each worker; the run's step, after it.
  std::vector<v1::PushResult> Results();

  std::shared_ptr<const Snapshot> TakeSnapshot() const;
  std::vector<float> parameters() const { return ValuesOf(*TakeSnapshot()); }
  std::vector<float> slot(size_t index) const;
  std::string Bits() const { return BitsOf(run_.get()); }

  gradd::Run* run() const { return run_.get(); }
  FakeWorker* worker(size_t index) const { return workers_[index].get(); }
  RunRegistry* registry() { return &registry_; }
  FakeClock* clock() { return &clock_; }

  // The run as it is now.
  std::shared_ptr<const RunCapture> Capture();
  state::v1::RunState State() const;

 private:
  void JoinAll(const v1::Run& spec);

  FakeClock clock_;
  RunRegistry registry_;
  std::shared_ptr<gradd::Run> run_;
  std::vector<std::unique_ptr<FakeWorker>> workers_;
  std::vector<int64_t> sequences_;  // Of each worker's last push that was not rejected.
  size_t answers_ = 0;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_TRAINEE_H_
