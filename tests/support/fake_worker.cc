#include "tests/support/fake_worker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

// Only reached when something hangs.
constexpr absl::Duration kPatience = absl::Seconds(60);

}  // namespace

google::protobuf::RepeatedPtrField<v1::BatchRange> RangesOf(
    const std::vector<std::pair<int64_t, int64_t>>& batches) {
  google::protobuf::RepeatedPtrField<v1::BatchRange> ranges;
  for (const auto& [first, count] : batches) {
    v1::BatchRange& range = *ranges.Add();
    range.set_first(first);
    range.set_count(count);
  }
  return ranges;
}

std::vector<int64_t> NumbersOf(const google::protobuf::RepeatedPtrField<v1::BatchRange>& ranges) {
  std::vector<int64_t> numbers;
  for (const v1::BatchRange& range : ranges) {
    for (int64_t i = 0; i < range.count(); ++i) numbers.push_back(range.first() + i);
  }
  return numbers;
}

std::vector<float> ValuesOf(const Snapshot& snapshot) {
  std::vector<float> values;
  for (const BlockRef& block : snapshot.parameters) {
    values.insert(values.end(), block.data(), block.data() + block.elements());
  }
  return values;
}

FakeWorker::FakeWorker(RunRegistry* registry, std::string run, std::string worker,
                       uint64_t instance)
    : registry_(registry),
      run_(std::move(run)),
      worker_(std::move(worker)),
      instance_(instance),
      session_(std::make_shared<WorkerSession>(registry, this, absl::StrCat("fake:", worker_))) {}

FakeWorker::~FakeWorker() {
  session_->Disconnected();
  MutexLock lock(&mutex_);
  while (scheduled_ > 0) changed_.Wait(&mutex_);
}

void FakeWorker::Join(bool want_parameters) {
  v1::TrainRequest request;
  *request.mutable_join() = join_;
  request.mutable_join()->set_run(absl::StrCat("runs/", run_));
  request.mutable_join()->set_worker(worker_);
  request.mutable_join()->set_instance(instance_);
  request.mutable_join()->set_want_parameters(want_parameters);
  Request(std::move(request));
}

void FakeWorker::Request(v1::TrainRequest request, Payload data) {
  {
    MutexLock lock(&mutex_);
    queue_.push_back({std::move(request), std::move(data)});
  }
  Drain();
}

v1::PushHeader FakeWorker::Header(int64_t sequence, int64_t base_step, int64_t examples,
                                  double loss) const {
  v1::PushHeader header;
  header.set_sequence(sequence);
  header.set_base_step(base_step);
  header.set_examples(examples);
  header.set_loss(loss);
  header.set_timeline(timeline_);
  *header.mutable_batches() = batches_;
  header.set_blob(blob_);
  return header;
}

void FakeWorker::RequestChunk(v1::Push push, int64_t offset, std::vector<float> values) {
  const auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  push.mutable_chunk()->set_offset(offset);
  v1::TrainRequest request;
  *request.mutable_push() = std::move(push);
  const Payload::Slice slice(reinterpret_cast<const std::byte*>(owner->data()),
                             owner->size() * sizeof(float));
  Request(std::move(request), Payload({slice}, owner));
}

void FakeWorker::Push(int64_t sequence, int64_t base_step, const std::vector<float>& gradient,
                      bool want_parameters, int64_t examples, double loss, int64_t chunk_elements) {
  const auto size = static_cast<int64_t>(gradient.size());
  for (int64_t at = 0; at < size; at += chunk_elements) {
    const int64_t end = std::min(at + chunk_elements, size);
    v1::Push push;
    if (at == 0) *push.mutable_header() = Header(sequence, base_step, examples, loss);
    if (end == size) push.mutable_commit()->set_want_parameters(want_parameters);
    RequestChunk(std::move(push), at, {gradient.begin() + at, gradient.begin() + end});
  }
}

void FakeWorker::PushPart(int64_t sequence, int64_t base_step, const std::vector<float>& gradient) {
  v1::Push push;
  *push.mutable_header() = Header(sequence, base_step, 1, 1);
  RequestChunk(std::move(push), 0, gradient);
}

void FakeWorker::PushRest(int64_t offset, const std::vector<float>& gradient,
                          bool want_parameters) {
  v1::Push push;
  push.mutable_commit()->set_want_parameters(want_parameters);
  RequestChunk(std::move(push), offset, gradient);
}

void FakeWorker::Abort(int64_t sequence) {
  v1::TrainRequest request;
  request.mutable_abort_push()->set_sequence(sequence);
  Request(std::move(request));
}

void FakeWorker::SetBatches(const std::vector<std::pair<int64_t, int64_t>>& batches) {
  batches_ = RangesOf(batches);
}

void FakeWorker::LeaseBatches(int64_t count) {
  v1::TrainRequest request;
  request.mutable_lease_batches()->set_count(count);
  Request(std::move(request));
}

void FakeWorker::ReturnBatches(const std::vector<std::pair<int64_t, int64_t>>& batches) {
  v1::TrainRequest request;
  *request.mutable_return_batches()->mutable_ranges() = RangesOf(batches);
  Request(std::move(request));
}

void FakeWorker::Leave() {
  v1::TrainRequest request;
  request.mutable_leave();
  Request(std::move(request));
}

void FakeWorker::Disconnect() { session_->Disconnected(); }

void FakeWorker::HalfClose() { session_->HalfClosed(); }

void FakeWorker::Drain() {
  while (true) {
    Queued next;
    {
      MutexLock lock(&mutex_);
      if (draining_ || held_ || queue_.empty()) return;
      draining_ = true;
      // Set before the call: the session may resume before it has returned.
      held_ = true;
      next = std::move(queue_.front());
      queue_.erase(queue_.begin());
    }
    const bool taken = session_->Handle(std::move(next.request), std::move(next.data));
    MutexLock lock(&mutex_);
    draining_ = false;
    if (taken) held_ = false;
  }
}

void FakeWorker::ResumeReading() {
  {
    MutexLock lock(&mutex_);
    held_ = false;
    ++scheduled_;
  }
  // Not from here: the run's lock is held.
  registry_->pool()->Schedule([this] {
    Drain();
    MutexLock lock(&mutex_);
    --scheduled_;
    changed_.NotifyAll();
  });
}

void FakeWorker::Send(v1::TrainResponse message) {
  MutexLock lock(&mutex_);
  if (message.has_welcome()) welcome_ = message.welcome();
  if (message.has_push_result()) results_.push_back(message.push_result());
  if (message.has_batch_lease()) leases_.push_back(message.batch_lease());
  if (message.has_event()) events_.push_back(message.event().kind());
  changed_.NotifyAll();
}

void FakeWorker::SendParameters(std::shared_ptr<const Snapshot> snapshot,
                                v1::Encoding /*encoding*/) {
  {
    MutexLock lock(&mutex_);
    ++scheduled_;
  }
  Take(std::move(snapshot), 0);
}

void FakeWorker::Take(std::shared_ptr<const Snapshot> snapshot, size_t block) {
  for (; block < snapshot->parameters.size(); ++block) {
    if (snapshot->progress == nullptr) break;
    if (!snapshot->progress->Await(block, [=] { Take(snapshot, block); })) return;
  }
  if (!hold_parameters_) {
    registry_->pool()->Schedule([session = session_] { session->ParametersSent(); });
  }
  MutexLock lock(&mutex_);
  snapshots_.push_back(std::move(snapshot));
  --scheduled_;
  changed_.NotifyAll();
}

void FakeWorker::DeliverParameters() { session_->ParametersSent(); }

void FakeWorker::MoveParameters() { session_->ParametersMove(); }

void FakeWorker::End(absl::Status status) {
  MutexLock lock(&mutex_);
  end_ = std::move(status);
  changed_.NotifyAll();
}

void FakeWorker::Abandon(absl::Status status) {
  {
    MutexLock lock(&mutex_);
    abandoned_ = true;
  }
  End(std::move(status));
}

template <typename Condition>
void FakeWorker::WaitUntil(const Condition& condition) const {
  while (!condition() && changed_.WaitFor(&mutex_, kPatience)) {
  }
}

std::vector<v1::PushResult> FakeWorker::results() const {
  MutexLock lock(&mutex_);
  return results_;
}

v1::PushResult FakeWorker::WaitForResult(size_t index) const {
  MutexLock lock(&mutex_);
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return results_.size() > index; });
  return results_.size() > index ? results_[index] : v1::PushResult();
}

std::vector<v1::BatchLease> FakeWorker::leases() const {
  MutexLock lock(&mutex_);
  return leases_;
}

v1::BatchLease FakeWorker::WaitForLease(size_t index) const {
  MutexLock lock(&mutex_);
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return leases_.size() > index; });
  return leases_.size() > index ? leases_[index] : v1::BatchLease();
}

std::vector<float> FakeWorker::WaitForParameters(int64_t step) const {
  MutexLock lock(&mutex_);
  const auto arrived = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return !snapshots_.empty() && snapshots_.back()->step >= step;
  };
  WaitUntil(arrived);
  return arrived() ? ValuesOf(*snapshots_.back()) : std::vector<float>();
}

size_t FakeWorker::snapshots() const {
  MutexLock lock(&mutex_);
  return snapshots_.size();
}

uint64_t FakeWorker::parameters_timeline() const {
  MutexLock lock(&mutex_);
  if (snapshots_.empty() || snapshots_.back()->timeline == nullptr) return 0;
  return snapshots_.back()->timeline->number;
}

bool FakeWorker::abandoned() const {
  MutexLock lock(&mutex_);
  return abandoned_;
}

int64_t FakeWorker::snapshots_sent_early() const {
  MutexLock lock(&mutex_);
  return std::count_if(snapshots_.begin(), snapshots_.end(),
                       [](const auto& snapshot) { return snapshot->progress != nullptr; });
}

std::vector<v1::RunEventKind> FakeWorker::events() const {
  MutexLock lock(&mutex_);
  return events_;
}

std::optional<v1::Welcome> FakeWorker::welcome() const {
  MutexLock lock(&mutex_);
  return welcome_;
}

std::optional<absl::Status> FakeWorker::end() const {
  MutexLock lock(&mutex_);
  return end_;
}

absl::Status FakeWorker::WaitForEnd() const {
  MutexLock lock(&mutex_);
  WaitUntil([&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return end_.has_value(); });
  return end_.value_or(absl::DeadlineExceededError("the session did not end"));
}

size_t FakeWorker::requests_held() const {
  MutexLock lock(&mutex_);
  return queue_.size() + (held_ ? 1 : 0);
}

}  // namespace gradd
