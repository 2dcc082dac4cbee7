#include "tests/support/trainee.h"

#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <thread>
#include <utility>

namespace gradd {

Payload PayloadOf(const Part& part) {
  auto bytes = std::make_shared<std::vector<std::byte>>(part.data);
  const auto append = [&bytes](const auto& values) {
    const size_t at = bytes->size();
    const size_t size = values.size() * sizeof(values[0]);
    bytes->resize(at + size);
    if (size > 0) std::memcpy(bytes->data() + at, values.data(), size);
  };
  append(part.rows);
  append(part.values);
  const Payload::Slice slice(bytes->data(), bytes->size());
  return Payload({slice}, std::move(bytes));
}

std::vector<v1::TrainRequest> RequestsOf(const v1::PushHeader& header,
                                         const std::vector<Part>& parts) {
  std::vector<v1::TrainRequest> requests;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    v1::Push& push = *requests.emplace_back().mutable_push();
    if (i == 0) *push.mutable_header() = header;
    v1::ParameterChunk& chunk = *push.mutable_chunk();
    chunk.set_offset(part.offset);
    if (part.tensor_elements > 0) {
      chunk.set_encoding(v1::ENCODING_ROWS);
      chunk.set_element_count(part.tensor_elements);
    } else {
      chunk.set_encoding(part.encoding);
      chunk.set_element_count(part.elements);
    }
    if (i + 1 == parts.size()) push.mutable_commit();
  }
  return requests;
}

bool IsTaken(const v1::PushResult& result) {
  return result.outcome() == v1::PUSH_OUTCOME_APPLIED ||
         result.outcome() == v1::PUSH_OUTCOME_ACCUMULATED;
}

std::shared_ptr<const Snapshot> SnapshotOf(Run* run) {
  std::shared_ptr<const Snapshot> taken;
  run->RequestSnapshot(SnapshotContents::kAll, [&](const auto& snapshot) { taken = snapshot; });
  return taken;
}

Trainee::Trainee(const v1::Run& spec, int64_t block_elements, int threads, const Limits& limits)
    : registry_(limits, threads, &clock_, block_elements) {
  auto run = registry_.Create("r", spec, "");
  EXPECT_TRUE(run.ok()) << run.status();
  run_ = *std::move(run);
  JoinAll(spec);
}

Trainee::Trainee(const OriginMaker& from, int64_t block_elements, int threads, const Limits& limits)
    : registry_(limits, threads, &clock_, block_elements) {
  const RunOrigin origin = from(registry_.environment());
  const v1::Run& spec = origin.capture->state.spec();
  auto run = registry_.Create("r", spec, "", &origin);
  EXPECT_TRUE(run.ok()) << run.status();
  run_ = *std::move(run);
  JoinAll(spec);
}

void Trainee::JoinAll(const v1::Run& spec) {
  for (int i = 0; i < spec.policy().synchronous().workers(); ++i) {
    workers_.push_back(
        std::make_unique<FakeWorker>(&registry_, "r", std::string(1, static_cast<char>('a' + i))));
    workers_.back()->Join();
    sequences_.push_back(workers_.back()->welcome()->last_sequence());
  }
}

std::shared_ptr<const RunCapture> Trainee::Capture() {
  std::promise<absl::StatusOr<std::shared_ptr<const RunCapture>>> promise;
  run_->Capture([&](const auto& capture) { promise.set_value(capture); });
  auto capture = promise.get_future().get();
  EXPECT_TRUE(capture.ok()) << capture.status();
  // The task that made it lets go of it a moment later; tests want it for themselves.
  while (capture->use_count() > 1) std::this_thread::yield();
  return *std::move(capture);
}

state::v1::RunState Trainee::State() const {
  state::v1::RunState state;
  run_->WriteState(&state);
  return state;
}

void Trainee::Send(size_t worker, const std::vector<Part>& parts, int64_t examples) {
  v1::PushHeader header;
  header.set_sequence(sequences_[worker] + 1);
  header.set_base_step(run_->Progress().step());
  header.set_examples(examples);
  std::vector<v1::TrainRequest> requests = RequestsOf(header, parts);
  for (size_t i = 0; i < parts.size(); ++i) {
    workers_[worker]->Request(std::move(requests[i]), PayloadOf(parts[i]));
  }
}

std::vector<v1::PushResult> Trainee::Results() {
  std::vector<v1::PushResult> results;
  for (size_t worker = 0; worker < workers_.size(); ++worker) {
    results.push_back(workers_[worker]->WaitForResult(answers_));
    if (results.back().outcome() != v1::PUSH_OUTCOME_REJECTED) ++sequences_[worker];
  }
  ++answers_;
  return results;
}

void Trainee::Push(size_t worker, const std::vector<Part>& parts, int64_t examples) {
  Send(worker, parts, examples);
  if (worker + 1 < workers_.size()) return;
  for (const v1::PushResult& result : Results()) {
    EXPECT_TRUE(IsTaken(result)) << result.message();
  }
}

std::shared_ptr<const Snapshot> Trainee::TakeSnapshot() const { return SnapshotOf(run_.get()); }

std::vector<float> Trainee::slot(size_t index) const {
  std::vector<float> values;
  const auto snapshot = TakeSnapshot();
  for (const BlockRef& block : snapshot->slots[index].blocks) {
    values.insert(values.end(), block.data(), block.data() + block.elements());
  }
  return values;
}

std::string BitsOf(const Snapshot& snapshot, const std::array<double, 3>& norms) {
  std::string bits;
  const auto append = [&bits](const BlockVector& blocks) {
    for (const BlockRef& block : blocks) {
      if (!block) continue;
      bits.append(reinterpret_cast<const char*>(block.data()),
                  static_cast<size_t>(block.elements()) * sizeof(float));
    }
  };
  append(snapshot.parameters);
  for (const SnapshotSlot& slot : snapshot.slots) append(slot.blocks);
  for (const double norm : norms) {
    bits.append(reinterpret_cast<const char*>(&norm), sizeof(norm));
  }
  return bits;
}

std::string BitsOf(Run* run) {
  const v1::RunProgress progress = run->Progress();
  return BitsOf(*SnapshotOf(run),
                {progress.gradient_norm(), progress.update_norm(), progress.parameter_norm()});
}

}  // namespace gradd
