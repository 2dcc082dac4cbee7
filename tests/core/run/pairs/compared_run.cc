#include "tests/core/run/pairs/compared_run.h"

#include <future>
#include <utility>

#include "absl/strings/str_join.h"
#include "core/base/error.h"
#include "tests/core/run/pairs/tiny_model.h"
#include "tests/support/fake_worker.h"
#include "tests/support/update.h"

namespace gradd {

ComparedRun::ComparedRun(const Training& training, PushForm form, Examples examples, uint64_t seed)
    : training_(training),
      form_(form),
      seed_(seed),
      executor_(new VirtualExecutor(seed)),
      registry_(Limits(), std::unique_ptr<Executor>(executor_), &clock_, kTileElements) {
  comparison_.SetPlace("at first");
  comparison_.NoteRow(*training.row);
  v1::Run spec = SpecOf(training);
  if (examples == Examples::kLeased) {
    *spec.mutable_data() = ReferenceData::Spec();
    data_.emplace();
  }
  auto run = registry_.Create("r", spec, "");
  if (!run.ok()) {
    comparison_.Fail(run.status().ToString());
    return;
  }
  run_ = *std::move(run);
  reference_ =
      std::make_unique<ReferenceRun>(training, ValuesOf(*Take(SnapshotContents::kEvaluation)));
  for (size_t worker = 0; worker < kPairWorkers; ++worker) Join(worker);
}

void ComparedRun::Join(size_t index) {
  Worker& worker = workers_[index];
  worker.stream =
      std::make_unique<ScriptedWorker>(&registry_, index == 0 ? "a" : "b", /*instance=*/7);
  v1::Join join;
  join.set_sends_timelines(true);
  worker.stream->Join("r", join);
  worker.results = 0;
  executor_->RunAll();
  if (!worker.stream->welcome().has_value()) return comparison_.Fail("not welcome");
  const v1::Welcome& welcome = *worker.stream->welcome();
  comparison_.ExpectSame("welcome's last sequence", welcome.last_sequence(), worker.sequence);
  comparison_.ExpectSame("welcome's step", welcome.step(), reference_->step());
  if (!data_.has_value()) return;
  comparison_.ExpectSame("welcome's batches",
                         absl::StrJoin(NumbersOf(welcome.data().leased()), " "),
                         absl::StrJoin(data_->LeasedTo(index), " "));
}

void ComparedRun::BeginAtPresentStep(size_t worker) {
  workers_[worker].base_step = reference_->step();
}

ReferenceRun::Push ComparedRun::NextPush(size_t index) const {
  const Worker& worker = workers_[index];
  const uint64_t number = 2 * worker.pushes + index;
  ReferenceRun::Push push;
  push.worker = index;
  push.sequence = worker.sequence + 1;
  push.base_step = worker.base_step;
  // Primes above the 2,048 of float16's digits: no two values that are coded differ by such a
  // factor, so that no mean is 0 but for its roundings, whose sign would be that of a whole step.
  // Each worker has its own.
  constexpr std::array<int64_t, 4> kExamples = {2053, 8209, 4099, 12289};
  // The sums of batches are no primes, and have no divisor in common.
  constexpr int64_t kSmall = ReferenceData::kSmall;
  constexpr int64_t kLarge = ReferenceData::kLarge;
  constexpr std::array<int64_t, 4> kLeased = {kSmall, kLarge, kLarge + kSmall, 2 * kLarge + kSmall};
  push.examples = (data_.has_value() ? kLeased : kExamples)[2 * index + (number / 2 + seed_) % 2];
  push.loss = 1 + 0.25 * static_cast<double>((number * 3 + seed_) % 7);
  push.gradient =
      std::make_shared<const PushedGradient>(MakePushedGradient(form_, seed_ * 1'000 + number));
  return push;
}

std::vector<int64_t> ComparedRun::BatchesOf(size_t index, const ReferenceRun::Push& push) const {
  const int64_t large = push.examples / ReferenceData::kLarge;
  return data_->Find(index, large, push.examples % ReferenceData::kLarge == 0 ? 0 : 1);
}

std::vector<int64_t> ComparedRun::LeaseFor(size_t index, const ReferenceRun::Push& push) {
  if (!data_.has_value()) return {};
  ScriptedWorker& stream = *workers_[index].stream;
  while (ok()) {
    const std::vector<int64_t> batches = BatchesOf(index, push);
    if (!batches.empty()) return batches;
    constexpr int64_t kAtOnce = 3;
    const size_t before = stream.leases().size();
    v1::TrainRequest request;
    request.mutable_lease_batches()->set_count(kAtOnce);
    if (stream.CanSend()) stream.Send(std::move(request));
    executor_->RunAll();
    if (stream.leases().size() == before) comparison_.Fail("no batches");
    if (!ok()) break;
    comparison_.ExpectSame("batches",
                           absl::StrJoin(NumbersOf(stream.leases().back().ranges()), " "),
                           absl::StrJoin(data_->Lease(index, kAtOnce), " "));
  }
  return {};
}

void ComparedRun::Send(size_t index, const ReferenceRun::Push& push,
                       const std::vector<int64_t>& batches, const std::vector<Part>& parts,
                       size_t held_back) {
  v1::PushHeader header;
  header.set_sequence(push.sequence);
  header.set_base_step(push.base_step);
  header.set_examples(push.examples);
  header.set_loss(push.loss);
  for (const int64_t batch : batches) {
    v1::BatchRange& range = *header.add_batches();
    range.set_first(batch);
    range.set_count(1);
  }
  std::vector<v1::TrainRequest> requests = RequestsOf(header, parts);
  requests.back().mutable_push()->mutable_commit()->set_want_parameters(true);
  for (size_t i = 0; i + held_back < parts.size() && ok(); ++i) {
    if (!workers_[index].stream->CanSend()) return comparison_.Fail("a worker is held up");
    workers_[index].stream->Send(std::move(requests[i]), PayloadOf(parts[i]));
  }
}

void ComparedRun::Push(size_t index) {
  Worker& worker = workers_[index];
  worker.pushed = NextPush(index);
  worker.outcome = v1::PUSH_OUTCOME_UNSPECIFIED;
  ++worker.pushes;
  ++worker.sequence;
  worker.batches = LeaseFor(index, worker.pushed);
  if (data_.has_value()) data_->Pushed(index, worker.sequence, worker.batches);
  Send(index, worker.pushed, worker.batches, worker.pushed.gradient->parts);
  reference_->Add(worker.pushed);
  Settle();
}

void ComparedRun::PushNonFinite(size_t index) {
  const ReferenceRun::Push push = NextPush(index);
  if (reference_->IsTooOld(push)) return;  // It would be superseded, whatever is in it.
  const std::vector<int64_t> batches = LeaseFor(index, push);
  if (data_.has_value()) data_->Pushed(index, push.sequence, batches);
  ++workers_[index].sequence;
  Send(index, push, batches, NonFiniteParts());
  skipped_.insert(index);
  Settle();
}

void ComparedRun::PushInVain(size_t index) {
  const ReferenceRun::Push push = NextPush(index);
  Send(index, push, {}, push.gradient->parts);
  executor_->RunAll();
  const v1::PushResult* const result = NextResult(&workers_[index]);
  if (result != nullptr) ExpectOutcome(*result, v1::PUSH_OUTCOME_REJECTED);
}

void ComparedRun::DieInPush(size_t index) {
  const ReferenceRun::Push push = NextPush(index);
  Send(index, push, LeaseFor(index, push), push.gradient->parts, /*held_back=*/1);
  executor_->RunAll();
  workers_[index].stream->Disconnect();
}

void ComparedRun::Leave(size_t index) {
  v1::TrainRequest request;
  request.mutable_leave();
  workers_[index].stream->Send(std::move(request));
  LeaseEnded(index);
  Settle();
}

void ComparedRun::LeaseEnded(size_t index) {
  reference_->Leave(index);
  if (data_.has_value()) data_->Lose(index);
}

void ComparedRun::Heartbeat(size_t index) {
  v1::TrainRequest request;
  request.mutable_heartbeat();
  workers_[index].stream->Send(std::move(request));
}

void ComparedRun::TakeOver(size_t index) {
  Worker& worker = workers_[index];
  if (worker.pushes == 0 || !ok()) return;
  const bool waits = worker.outcome == v1::PUSH_OUTCOME_UNSPECIFIED;
  const std::unique_ptr<ScriptedWorker> before = std::move(worker.stream);
  // What waits is in no ledger yet.
  const int64_t sequence = worker.sequence;
  if (waits) --worker.sequence;
  Join(index);
  worker.sequence = sequence;
  if (!before->end().has_value() || ReasonOf(*before->end()) != "SESSION_TAKEN_OVER") {
    return comparison_.Fail("the session before is not taken over");
  }
  Send(index, worker.pushed, worker.batches, worker.pushed.gradient->parts);
  executor_->RunAll();
  if (waits) return;  // This session gets the result.
  const v1::PushResult* const result = NextResult(&worker);
  if (result == nullptr) return;
  ExpectOutcome(*result, v1::PUSH_OUTCOME_DUPLICATE);
  if (data_.has_value()) data_->Repeated(index, worker.batches);
  comparison_.ExpectSame("committed", v1::PushOutcome_Name(result->committed_outcome()),
                         v1::PushOutcome_Name(worker.outcome));
  Settle();
}

void ComparedRun::Change(const Training& next, const std::vector<std::string>& paths) {
  Update(SpecOf(next), paths);
  training_ = next;
  comparison_.NoteRow(*training_.row);
  reference_->Train(training_);
  has_changed_ = true;
  Settle();
}

void ComparedRun::Update(const v1::Run& values, const std::vector<std::string>& paths) {
  google::protobuf::FieldMask mask;
  for (const std::string& path : paths) mask.add_paths(path);
  std::future<absl::StatusOr<v1::Run>> update = BeginUpdate(run_.get(), values, mask, "ada");
  executor_->RunAll();
  if (!IsAnswered(update)) return comparison_.Fail("a change is not answered");
  const absl::StatusOr<v1::Run> updated = update.get();
  if (!updated.ok()) return comparison_.Fail(updated.status().ToString());
  comparison_.ExpectSame("begins_at", updated->schedule().begins_at(),
                         values.schedule().begins_at());
}

void ComparedRun::Settle() {
  executor_->RunAll();
  for (const ReferenceRun::Answer& answer : reference_->TakeAnswers()) Look(answer);
  for (Worker& worker : workers_) ReadParameters(&worker);
  if (ok()) Compare();
}

const v1::PushResult* ComparedRun::NextResult(Worker* worker) {
  const std::vector<v1::PushResult>& results = worker->stream->results();
  if (worker->results < results.size()) return &results[worker->results++];
  comparison_.Fail("no answer to a push");
  return nullptr;
}

void ComparedRun::ExpectOutcome(const v1::PushResult& result, v1::PushOutcome outcome) {
  comparison_.ExpectSame("outcome", v1::PushOutcome_Name(result.outcome()),
                         v1::PushOutcome_Name(outcome));
}

void ComparedRun::Look(const ReferenceRun::Answer& answer) {
  Worker& worker = workers_[answer.worker];
  LookForSkipped(answer.worker);
  const v1::PushResult* const result = ok() ? NextResult(&worker) : nullptr;
  if (result == nullptr) return;
  ExpectOutcome(*result, answer.outcome);
  comparison_.ExpectSame("sequence", result->sequence(), answer.sequence);
  comparison_.ExpectSame("step of the answer", result->step(), answer.step);
  worker.outcome = answer.outcome;
  if (data_.has_value()) data_->Answered(answer.worker, answer.sequence, answer.outcome);
  if (answer.outcome == v1::PUSH_OUTCOME_REJECTED) --worker.sequence;
  if (answer.outcome != v1::PUSH_OUTCOME_ACCUMULATED) worker.base_step = answer.step;
}

void ComparedRun::LookForSkipped(size_t index) {
  if (skipped_.erase(index) == 0) return;
  const v1::PushResult* const result = NextResult(&workers_[index]);
  if (result == nullptr) return;
  ExpectOutcome(*result, v1::PUSH_OUTCOME_SKIPPED);
  if (data_.has_value()) data_->Answered(index, result->sequence(), v1::PUSH_OUTCOME_SKIPPED);
}

void ComparedRun::ReadParameters(Worker* worker) {
  while (ok() && worker->stream->IsOpen() && worker->stream->unread() > 0) {
    if (worker->stream->Lost()) return comparison_.Fail("parameters are lost");
    const std::shared_ptr<const Snapshot> snapshot = worker->stream->ReadParameters();
    if (snapshot == nullptr) return comparison_.Fail("parameters that cannot be read");
    if (snapshot->step != reference_->step()) continue;
    comparison_.ExpectVector("sent", ValuesOf(*snapshot), reference_->optimizer(),
                             reference_->rounded(), &ReferenceOptimizer::TrainingPoint);
  }
}

void ComparedRun::Compare() {
  for (size_t index = 0; index < kPairWorkers; ++index) LookForSkipped(index);
  for (const Worker& worker : workers_) {
    if (worker.results != worker.stream->results().size()) comparison_.Fail("an answer to nothing");
  }
  const v1::RunProgress progress = run_->Progress();
  const double rate = reference_->rate();
  comparison_.ExpectSame("step", progress.step(), reference_->step());
  // The same formula, with another power or cosine.
  comparison_.ExpectNear("rate", progress.learning_rate(), rate, 1e-12 * rate);
  comparison_.ExpectSame("examples", progress.examples(), reference_->examples());
  if (data_.has_value()) {
    comparison_.ExpectSame("used batches", progress.data().used_batches(), data_->used());
    comparison_.ExpectSame("leased batches", progress.data().leased_batches(), data_->leased());
    comparison_.ExpectSame("returned batches", progress.data().returned_batches(),
                           data_->returned());
  }
  comparison_.ExpectSame("has a loss", progress.has_loss(), reference_->loss().has_value());
  if (!ok() || (reference_->step() == compared_ && !has_changed_)) return;
  CompareVectors(progress);
  compared_ = reference_->step();
  has_changed_ = false;
}

void ComparedRun::CompareVectors(const v1::RunProgress& progress) {
  const ReferenceOptimizer& exact = reference_->optimizer();
  const ReferenceOptimizer& rounded = reference_->rounded();
  // Every other step finds blocks that somebody else has.
  held_ = Take(SnapshotContents::kEvaluation);
  const std::vector<float> parameters = ValuesOf(*held_);
  if (reference_->step() % 2 == 1) held_.reset();
  comparison_.ExpectVector("parameters", parameters, exact, rounded,
                           &ReferenceOptimizer::Parameters);
  comparison_.ExpectVector("training point", ValuesOf(*Take(SnapshotContents::kTraining)), exact,
                           rounded, &ReferenceOptimizer::TrainingPoint);
  if (exact.has_average()) {
    comparison_.ExpectVector("average", ValuesOf(*Take(SnapshotContents::kAverage)), exact, rounded,
                             &ReferenceOptimizer::Average);
  }
  if (!ok() || reference_->step() == compared_) return;
  const double loss = *reference_->loss();
  comparison_.ExpectNear("loss", progress.loss(), loss, 1e-12 * loss);
  // Sums in double of numbers that are sums in float32.
  comparison_.ExpectNear("gradient norm", progress.gradient_norm(), reference_->gradient_norm(),
                         1e-6 * reference_->gradient_norm());
  const double norm = exact.NormOfTrained({parameters.begin(), parameters.end()});
  comparison_.ExpectNear("parameter norm", progress.parameter_norm(), norm, 1e-6 * norm);
}

std::shared_ptr<const Snapshot> ComparedRun::Take(SnapshotContents contents) {
  std::shared_ptr<const Snapshot> taken;
  run_->RequestSnapshot(contents, [&taken](const auto& snapshot) { taken = snapshot; });
  return taken;
}

}  // namespace gradd
