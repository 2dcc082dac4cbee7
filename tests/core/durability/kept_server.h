#ifndef GRADD_TESTS_CORE_DURABILITY_KEPT_SERVER_H_
#define GRADD_TESTS_CORE_DURABILITY_KEPT_SERVER_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/durability/durable_runs.h"
#include "core/run/run_registry.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tests/support/scripted_worker.h"
#include "tests/support/virtual_executor.h"

namespace gradd {

// What a server with a state directory has without a network: its runs and their disk, on which
// nothing happens but what a test asks for. When it goes, that is as if the power had failed: what
// is left is in its file system's AfterCrash().
//
// Example:
//   KeptServer server(&files, &clock, /*seed=*/1);
//   server.Start();
//   ...
//   server.Kill();
//   const auto left = files.AfterCrash(seed);
//
// For one thread.
class KeptServer {
 public:
  // These outlive it.
  KeptServer(FakeFileSystem* files, FakeClock* clock, uint64_t seed,
             const Limits& limits = Limits());
  ~KeptServer() { Kill(); }

  // Opens the directory and recovers what is in it.
  absl::Status Start();
  // The same, and the recovery has yet to begin.
  absl::Status Begin();
  // From that call of the file system on, the power is off.
  void HaltAt(int64_t call);
  // Right after that many messages to workers, it is. What is sent later, nobody hears.
  void HaltAfterMessages(int64_t messages) { halt_after_messages_ = messages; }
  bool halted() const;
  // Runs all tasks there are, until the power is off.
  void Settle();
  // Runs some of them.
  void RunOne();
  // Lets that much time pass, ticks, and settles.
  void Pass(absl::Duration duration);
  // Ends all of it. Sessions have to be gone.
  void Kill();
  // As when it is told to stop: last checkpoints, and the logs closed.
  void Stop();

  // A worker is sent a message; whether it arrives.
  bool NoteMessage();
  int64_t messages() const { return messages_; }

  RunRegistry* registry() { return registry_.get(); }
  DurableRuns* kept() { return kept_.get(); }
  // Null if there is none.
  std::shared_ptr<Run> Find(const std::string& run_id);
  // Makes a checkpoint; whether it was made.
  bool MakeCheckpoint(const std::string& run_id);
  // What Run::WhenDurable() says by now, if anything.
  std::shared_ptr<std::optional<absl::Status>> Answer(Run* run);
  // What was logged for people, newest last: MESSAGE FIELD=VALUE...
  std::vector<std::string> TakeLog();

 private:
  FakeFileSystem& files_;
  FakeClock& clock_;
  int64_t halt_at_ = std::numeric_limits<int64_t>::max();
  int64_t halt_after_messages_ = std::numeric_limits<int64_t>::max();
  int64_t messages_ = 0;
  VirtualExecutor io_;
  VirtualExecutor* pool_ = nullptr;
  std::unique_ptr<RunRegistry> registry_;
  std::unique_ptr<DurableRuns> kept_;
};

// A worker of a run in it, which computes what depends on its id and the number of the push alone.
class KeptWorker {
 public:
  KeptWorker(std::string worker, int64_t elements)
      : worker_(std::move(worker)), elements_(elements) {}

  const std::string& worker() const { return worker_; }
  bool IsJoined() const { return stream_ != nullptr && stream_->IsOpen() && stream_->welcome(); }
  // Begins a session; its welcome may have to wait. With parameters, who wants them has to read
  // them all. "b" takes them before its results: then they are no promise that their step is made.
  void Join(KeptServer* server, const std::string& run, bool want_parameters = false);
  bool takes_parameters_first() const { return worker_ == "b"; }
  // The stream is gone.
  void Disconnect() { stream_.reset(); }
  // Whether its last push is not answered.
  bool waits() const { return sent_ > answered_; }
  // Pushes the next one, from the parameters of that step, with these batches.
  // Loss 0: a good one.
  void Push(int64_t base_step, const std::vector<int64_t>& batches = {}, double loss = 0);
  // Where the run has a data set: asks for so many batches.
  void AskForBatches(int64_t count);
  // Those that it has, and has not pushed.
  std::vector<int64_t> BatchesLeft();
  // The one that counts last, as far as it knows.
  int64_t answered() const { return answered_; }
  ScriptedWorker* stream() { return stream_.get(); }
  // Results that have come since the last call.
  std::vector<v1::PushResult> TakeResults();

 private:
  const std::string worker_;
  const int64_t elements_;
  uint64_t instance_ = 0;
  std::unique_ptr<ScriptedWorker> stream_;
  size_t taken_ = 0;  // Results of this stream.
  bool welcomed_ = false;
  bool wants_parameters_ = false;
  int64_t sent_ = 0;
  int64_t answered_ = 0;
  size_t leases_ = 0;                           // Of this stream, that are in batches_.
  std::vector<int64_t> batches_;                // That it has, and that are in no push.
  std::map<int64_t, std::vector<int64_t>> of_;  // Those of the pushes that are not answered.
};

// Values of all parameters of a snapshot.
std::string ParametersOf(const Snapshot& snapshot);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_DURABILITY_KEPT_SERVER_H_
