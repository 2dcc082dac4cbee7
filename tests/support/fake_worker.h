#ifndef GRADD_TESTS_SUPPORT_FAKE_WORKER_H_
#define GRADD_TESTS_SUPPORT_FAKE_WORKER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "core/run/run_registry.h"
#include "core/run/session_sink.h"
#include "core/run/worker_session.h"

namespace gradd {

// A worker without a network: drives a WorkerSession and remembers what comes back. Requests
// that the session holds back queue here, as they would in the peer's HTTP/2 window. Thread
// safe.
class FakeWorker : public SessionSink {
 public:
  FakeWorker(RunRegistry* registry, std::string run, std::string worker, uint64_t instance = 0);
  ~FakeWorker() override;

  // What its joins say besides.
  v1::Join& join() { return join_; }
  // What its pushes say from now on; 0: nothing.
  void SetTimeline(uint64_t timeline) { timeline_ = timeline; }

  // Which batches its pushes name from now on, as pairs of first number and count.
  void SetBatches(const std::vector<std::pair<int64_t, int64_t>>& batches);

  // What its pushes leave from now on.
  void SetBlob(std::string blob) { blob_ = std::move(blob); }

  // What a worker does.
  void Join(bool want_parameters = false);
  void Request(v1::TrainRequest request, Payload data = Payload());
  // A whole push, in chunks of at most `chunk_elements`.
  void Push(int64_t sequence, int64_t base_step, const std::vector<float>& gradient,
            bool want_parameters = false, int64_t examples = 1, double loss = 1,
            int64_t chunk_elements = 1 << 18);
  // The first elements of one.
  void PushPart(int64_t sequence, int64_t base_step, const std::vector<float>& gradient);
  // The rest of one: elements from `offset` on, and the end.
  void PushRest(int64_t offset, const std::vector<float>& gradient, bool want_parameters = false);
  void Abort(int64_t sequence);
  void LeaseBatches(int64_t count);
  void ReturnBatches(const std::vector<std::pair<int64_t, int64_t>>& batches);
  void Leave();
  void Disconnect();
  void HalfClose();
  // Whether parameters leave as soon as they are sent; otherwise DeliverParameters() does it.
  void HoldParameters() { hold_parameters_ = true; }
  // Plays a worker on the server's host; before Join().
  void SetSameHost() { same_host_ = true; }
  void DeliverParameters();
  // A part of the parameters is on its way.
  void MoveParameters();

  // What came back. The waiting ones give up after a generous time.
  std::vector<v1::PushResult> results() const;
  v1::PushResult WaitForResult(size_t index) const;
  std::vector<float> WaitForParameters(int64_t step) const;
  std::vector<v1::BatchLease> leases() const;
  v1::BatchLease WaitForLease(size_t index) const;
  std::vector<v1::RunEventKind> events() const;
  // Of the last parameters; 0: none came, or they are of no run.
  uint64_t parameters_timeline() const;
  size_t snapshots() const;
  // Whether its stream was ended without what was still on its way.
  bool abandoned() const;
  // Snapshots that were sent before all of their blocks were final.
  int64_t snapshots_sent_early() const;
  std::optional<v1::Welcome> welcome() const;
  std::optional<absl::Status> end() const;
  absl::Status WaitForEnd() const;
  size_t requests_held() const;

  // SessionSink.
  bool same_host() const override { return same_host_; }
  void Send(v1::TrainResponse message) override;
  void SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) override;
  void Flush() override {}
  void ResumeReading() override;
  void End(absl::Status status) override;
  void Abandon(absl::Status status) override;

 private:
  struct Queued {
    v1::TrainRequest request;
    Payload data;
  };
  // Takes the snapshot's blocks from `block` on, as they become final.
  void Take(std::shared_ptr<const Snapshot> snapshot, size_t block);
  v1::PushHeader Header(int64_t sequence, int64_t base_step, int64_t examples, double loss) const;
  // A chunk of a push, with its header, its end, or both.
  void RequestChunk(v1::Push push, int64_t offset, std::vector<float> values);
  // Handles queued requests until the session holds one back.
  void Drain();
  template <typename Condition>
  void WaitUntil(const Condition& condition) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  RunRegistry* const registry_;
  const std::string run_;
  const std::string worker_;
  const uint64_t instance_;
  const std::shared_ptr<WorkerSession> session_;
  v1::Join join_;
  uint64_t timeline_ = 0;
  google::protobuf::RepeatedPtrField<v1::BatchRange> batches_;
  std::string blob_;
  bool hold_parameters_ = false;
  bool same_host_ = false;

  mutable Mutex mutex_;
  mutable CondVar changed_;
  std::vector<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  int scheduled_ ABSL_GUARDED_BY(mutex_) = 0;  // Tasks of other threads that use this.
  std::optional<v1::Welcome> welcome_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::PushResult> results_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::BatchLease> leases_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::RunEventKind> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<const Snapshot>> snapshots_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
};

// These ranges, as messages have them.
google::protobuf::RepeatedPtrField<v1::BatchRange> RangesOf(
    const std::vector<std::pair<int64_t, int64_t>>& batches);
// The numbers in them.
std::vector<int64_t> NumbersOf(const google::protobuf::RepeatedPtrField<v1::BatchRange>& ranges);

// The floats of a snapshot's parameters.
std::vector<float> ValuesOf(const Snapshot& snapshot);

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_FAKE_WORKER_H_
