#ifndef GRADD_TESTS_SUPPORT_SCRIPTED_WORKER_H_
#define GRADD_TESTS_SUPPORT_SCRIPTED_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/run/run_registry.h"
#include "core/run/session_sink.h"
#include "core/run/worker_session.h"
#include "core/store/payload.h"
#include "core/store/version_readers.h"

namespace gradd {

// One stream of a worker, without a network and without threads of its own: nothing happens but
// what a test asks for, one request at a time, and nothing is ever waited for. For tests that
// choose the order of everything, on a VirtualExecutor. (FakeWorker, which sends and reads by
// itself, is for all others.)
class ScriptedWorker final : public SessionSink {
 public:
  ScriptedWorker(RunRegistry* registry, const std::string& worker, uint64_t instance);
  ~ScriptedWorker() override { Disconnect(); }

  // Whether the next request may be sent: the stream is open and the session holds none back.
  bool CanSend() const { return IsOpen() && !held_; }
  // Whether the last request is held back: the session has not taken it yet.
  bool held() const { return IsOpen() && held_; }
  // Neither side has ended the stream.
  bool IsOpen() const { return !end_.has_value() && !gone_; }
  // Is called with each message that comes: where it returns false, that one is lost on its way.
  void SetArrives(std::function<bool()> arrives) { arrives_ = std::move(arrives); }
  // Sends one request; only if CanSend().
  void Send(v1::TrainRequest request, Payload data = Payload());
  // What the join says besides is in `join`.
  void Join(const std::string& run, v1::Join join = {});
  void HalfClose();
  // The stream is gone.
  void Disconnect();

  // Parameters that were sent and not read.
  size_t unread() const { return parameters_.size(); }
  // All that were sent.
  size_t received() const { return received_; }
  // Reads the oldest of them, if all its blocks are final. Null if it has to wait, or if it was
  // lost: then the stream has to be given up, see Lost().
  std::shared_ptr<const Snapshot> ReadParameters();
  // Whether the oldest unread parameters had to make room for newer ones.
  bool Lost() const;

  const std::string& worker() const { return worker_; }
  uint64_t instance() const { return instance_; }
  const std::optional<v1::Welcome>& welcome() const { return welcome_; }
  // All that came, in order.
  const std::vector<v1::PushResult>& results() const { return results_; }
  const std::vector<v1::RunEvent>& events() const { return events_; }
  const std::vector<v1::BatchLease>& leases() const { return leases_; }
  // How the server ended the stream, if it did.
  const std::optional<absl::Status>& end() const { return end_; }

  // SessionSink.
  bool same_host() const override { return false; }
  void Send(v1::TrainResponse message) override;
  void SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) override;
  void Flush() override {}
  void ResumeReading() override { held_ = false; }
  void End(absl::Status status) override { end_ = std::move(status); }
  void Abandon(absl::Status status) override { end_ = std::move(status); }

 private:
  RunRegistry* const registry_;
  const std::string worker_;
  const uint64_t instance_;
  const std::shared_ptr<WorkerSession> session_;
  std::function<bool()> arrives_ = [] { return true; };
  bool held_ = false;
  bool gone_ = false;
  std::optional<v1::Welcome> welcome_;
  std::vector<v1::PushResult> results_;
  std::vector<v1::RunEvent> events_;
  std::vector<v1::BatchLease> leases_;
  std::deque<std::shared_ptr<VersionReaders::Hold>> parameters_;
  size_t received_ = 0;
  std::optional<absl::Status> end_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_SCRIPTED_WORKER_H_
