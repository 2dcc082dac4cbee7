#include "tests/core/durability/kept_server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/data/data_set.h"
#include "tests/support/trainee.h"

namespace gradd {

KeptServer::KeptServer(FakeFileSystem* files, FakeClock* clock, uint64_t seed, const Limits& limits)
    : files_(*files), clock_(*clock), io_(seed + 1) {
  auto pool = std::make_unique<VirtualExecutor>(seed);
  pool_ = pool.get();
  registry_ = std::make_unique<RunRegistry>(limits, std::move(pool), clock, kTileElements);
}

absl::Status KeptServer::Start() {
  GRADD_RETURN_IF_ERROR(Begin());
  // Where the power fails, the one that reads is still awaited.
  io_.RunAll();
  Settle();
  return absl::OkStatus();
}

absl::Status KeptServer::Begin() {
  DurableRuns::Options options;
  options.directory = "s";
  auto kept = DurableRuns::Open(&files_, options, &io_, registry_.get());
  if (!kept.ok()) return kept.status();
  kept_ = *std::move(kept);
  kept_->Recover();
  return absl::OkStatus();
}

void KeptServer::HaltAt(int64_t call) {
  halt_at_ = call;
  files_.HaltAt(call);
}

bool KeptServer::NoteMessage() {
  if (messages_ >= halt_after_messages_) return false;
  if (++messages_ == halt_after_messages_) HaltAt(static_cast<int64_t>(files_.calls().size()));
  return true;
}

bool KeptServer::halted() const { return static_cast<int64_t>(files_.calls().size()) >= halt_at_; }

void KeptServer::Settle() {
  for (bool some = true; some && !halted();) {
    some = pool_->RunOne();
    if (!halted()) some = io_.RunOne() || some;
  }
}

void KeptServer::RunOne() {
  pool_->RunOne();
  io_.RunOne();
}

void KeptServer::Pass(absl::Duration duration) {
  clock_.Advance(duration);
  registry_->Tick();
  kept_->Tick();
  Settle();
}

void KeptServer::Kill() {
  if (registry_ == nullptr) return;
  HaltAt(0);
  if (kept_ != nullptr) {
    for (const auto& run : registry_->All()) {
      if (const auto checkpointer = kept_->CheckpointerOf(run->run_id()); checkpointer != nullptr) {
        checkpointer->log()->Close(/*complete=*/false, [] {});
      }
    }
    io_.RunAll();
    pool_->RunAll();
    // Its logs are at an end: there is nothing to wait for.
    kept_->Tick();
    for (const auto& run : registry_->All()) {
      if (const auto checkpointer = kept_->CheckpointerOf(run->run_id()); checkpointer != nullptr) {
        checkpointer->log()->Close(/*complete=*/false, [] {});
      }
    }
    for (bool some = true; some;) {
      some = io_.RunOne();
      some = pool_->RunOne() || some;
    }
    kept_.reset();
  }
  registry_.reset();
  io_.RunAll();
}

void KeptServer::Stop() {
  kept_->Tick();
  Settle();
  for (const auto& run : registry_->All()) {
    EXPECT_TRUE(MakeCheckpoint(run->run_id()));
    const auto checkpointer = kept_->CheckpointerOf(run->run_id());
    const auto newest = checkpointer->newest();
    checkpointer->log()->Close(
        newest.has_value() && newest->events == run->ReadCheckpointFacts().events, [] {});
    Settle();
  }
}

std::shared_ptr<Run> KeptServer::Find(const std::string& run_id) {
  const auto run = registry_->Find(absl::StrCat("runs/", run_id));
  return run.ok() ? *run : nullptr;
}

bool KeptServer::MakeCheckpoint(const std::string& run_id) {
  kept_->Tick();
  bool made = false;
  kept_->CheckpointerOf(run_id)->Request([&](const auto& checkpoint) { made = checkpoint.ok(); });
  Settle();
  return made;
}

std::shared_ptr<std::optional<absl::Status>> KeptServer::Answer(Run* run) {
  auto answer = std::make_shared<std::optional<absl::Status>>();
  run->WhenDurable([answer](const absl::Status& status) { *answer = status; });
  return answer;
}

std::vector<std::string> KeptServer::TakeLog() {
  std::vector<std::string> lines;
  for (const LogEntry& entry : registry_->log()->Take(clock_.Elapsed())) {
    lines.push_back(LogLine(entry.event, entry.fields));
  }
  return lines;
}

void KeptWorker::Join(KeptServer* server, const std::string& run, bool want_parameters) {
  // The stream before it ends first.
  stream_.reset();
  stream_ = std::make_unique<ScriptedWorker>(server->registry(), worker_, ++instance_);
  stream_->SetArrives([server] { return server->NoteMessage(); });
  taken_ = 0;
  welcomed_ = false;
  leases_ = 0;
  batches_.clear();
  of_.clear();
  v1::Join join;
  wants_parameters_ = want_parameters;
  join.set_want_parameters(want_parameters);
  join.set_parameters_before_result(takes_parameters_first());
  stream_->Join(run, std::move(join));
}

void KeptWorker::Push(int64_t base_step, const std::vector<int64_t>& batches, double loss) {
  v1::PushHeader header;
  header.set_sequence(++sent_);
  header.set_base_step(base_step);
  header.set_examples(1 + sent_ % 3);
  header.set_loss(loss == 0 ? 1.0 / static_cast<double>(sent_) : loss);
  if (!batches.empty()) {
    const DataSet data(stream_->welcome()->data().data_set());
    int64_t examples = 0;
    for (const int64_t batch : batches) {
      v1::BatchRange& range = *header.add_batches();
      range.set_first(batch);
      range.set_count(1);
      examples += data.ExamplesIn(batch, 1);
    }
    header.set_examples(examples);
  }
  for (const int64_t batch : batches) {
    batches_.erase(std::remove(batches_.begin(), batches_.end(), batch), batches_.end());
  }
  of_[sent_] = batches;
  Part part;
  for (int64_t i = 0; i < elements_; ++i) {
    const auto of = static_cast<int64_t>(worker_[0]) * 31 + sent_ * 17 + i;
    part.values.push_back(static_cast<float>(of % 101) * 0.01F - 0.4F);
  }
  std::vector<v1::TrainRequest> requests = RequestsOf(header, {part});
  requests[0].mutable_push()->mutable_commit()->set_want_parameters(wants_parameters_);
  stream_->Send(std::move(requests[0]), PayloadOf(part));
}

void KeptWorker::AskForBatches(int64_t count) {
  v1::TrainRequest request;
  request.mutable_lease_batches()->set_count(count);
  stream_->Send(std::move(request));
}

std::vector<int64_t> KeptWorker::BatchesLeft() {
  const auto add = [this](const auto& ranges) {
    for (const v1::BatchRange& range : ranges) {
      for (int64_t i = 0; i < range.count(); ++i) batches_.push_back(range.first() + i);
    }
  };
  for (; leases_ < stream_->leases().size(); ++leases_) add(stream_->leases()[leases_].ranges());
  return batches_;
}

std::vector<v1::PushResult> KeptWorker::TakeResults() {
  if (stream_ == nullptr) return {};
  if (!welcomed_ && stream_->welcome().has_value()) {
    welcomed_ = true;
    sent_ = answered_ = stream_->welcome()->last_sequence();
    for (const v1::BatchRange& range : stream_->welcome()->data().leased()) {
      for (int64_t i = 0; i < range.count(); ++i) batches_.push_back(range.first() + i);
    }
  }
  const std::vector<v1::PushResult>& all = stream_->results();
  std::vector<v1::PushResult> results(all.begin() + static_cast<std::ptrdiff_t>(taken_), all.end());
  taken_ = all.size();
  for (const v1::PushResult& result : results) {
    if (result.outcome() == v1::PUSH_OUTCOME_RESEND ||
        result.outcome() == v1::PUSH_OUTCOME_REJECTED ||
        result.outcome() == v1::PUSH_OUTCOME_ROLLED_BACK) {
      sent_ = answered_;
      const std::vector<int64_t>& again = of_[result.sequence()];
      if (result.outcome() == v1::PUSH_OUTCOME_ROLLED_BACK) {
        batches_.clear();
      } else {
        batches_.insert(batches_.end(), again.begin(), again.end());
      }
    } else {
      answered_ = result.sequence();
    }
    of_.erase(result.sequence());
  }
  return results;
}

std::string ParametersOf(const Snapshot& snapshot) {
  std::string bits;
  for (const BlockRef& block : snapshot.parameters) {
    bits.append(reinterpret_cast<const char*>(block.data()),
                static_cast<size_t>(block.elements()) * sizeof(float));
  }
  return bits;
}

}  // namespace gradd
