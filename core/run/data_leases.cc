#include "core/run/data_leases.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

// What of valid ranges the worker has is free from now on.
void ReturnLeased(const std::string& worker, const BatchLedger::Ranges& ranges,
                  const RunRecord& record, RunEvents* events) {
  const BatchRanges leased = record.batches()->LeasedTo(worker);
  BatchRanges returned;
  for (const v1::BatchRange& range : ranges) {
    for (const BatchSpan& span : leased.Within(SpanOf(range))) returned.Add(span);
  }
  if (returned.empty()) return;
  state::v1::DataLease lease;
  lease.set_worker(worker);
  lease.set_kind(state::v1::DataLease::KIND_RETURNED);
  returned.Write(lease.mutable_ranges());
  events->ChangeLease(std::move(lease));
}

absl::Status NoDataSetError(absl::string_view field) {
  return InvalidArgument("NO_DATA_SET",
                         absl::StrCat(field, ": set, and the run has no data set (Run.data)"));
}

}  // namespace

template <typename See>
void DataLeases::ForEachWaiting(const See& see) const {
  for (const PendingPush& pending : parts_.waiting->all()) see(pending);
  const StepOnItsWay* const step = parts_.step->get();
  if (step == nullptr || step->entered) return;  // What is entered is used up.
  for (const PendingPush& pending : step->pushes) see(pending);
}

BatchRanges DataLeases::Reserved() const {
  BatchRanges reserved;
  // Otherwise each number is free or one worker's alone.
  if (ledger() == nullptr || !ledger()->has_former()) return reserved;
  ForEachWaiting([&](const PendingPush& pending) {
    for (const v1::BatchRange& range : pending.push->header().batches()) {
      reserved.Add(SpanOf(range));
    }
  });
  return reserved;
}

void DataLeases::Welcome(const std::string& worker, v1::Welcome* welcome) const {
  if (ledger() == nullptr) return;
  welcome->mutable_limits()->set_max_leased_batches(BatchLedger::kMostLeased);
  v1::WelcomeData& data = *welcome->mutable_data();
  *data.mutable_data_set() = parts_.record->spec().data();
  ledger()->Fill(&data);
  BatchRanges leased = ledger()->LeasedTo(worker);
  // What it has pushed already is not to be pushed again.
  ForEachWaiting([&](const PendingPush& pending) {
    if (pending.worker != worker) return;
    for (const v1::BatchRange& range : pending.push->header().batches()) {
      leased.Remove(SpanOf(range));
    }
  });
  leased.Write(data.mutable_leased());
}

absl::Status DataLeases::Handle(WorkerSession* session, const v1::TrainRequest& request) {
  const std::string& worker = session->state().worker;
  const bool asks = request.has_lease_batches();
  if (ledger() == nullptr) return NoDataSetError(asks ? "lease_batches" : "return_batches");
  if (!asks) return Return(worker, request.return_batches());
  const int64_t count = request.lease_batches().count();
  if (count < 1 || count > BatchLedger::kMostLeased) {
    return InvalidArgument("BATCHES_INVALID",
                           absl::StrCat("lease_batches.count: ", count, " is outside [1, ",
                                        BatchLedger::kMostLeased, "]"));
  }
  if (session->state().wants_batches != 0) {
    return Error(absl::StatusCode::kFailedPrecondition, "REQUEST_OUT_OF_ORDER",
                 "lease_batches before the batch_lease of the one before");
  }
  session->state().wants_batches = count;
  session->state().waited_for_batches = false;
  // It may have asked in an earlier session.
  asking_.erase(std::remove(asking_.begin(), asking_.end(), worker), asking_.end());
  asking_.push_back(worker);
  return absl::OkStatus();
}

absl::Status DataLeases::Return(const std::string& worker, const v1::ReturnBatches& returned) {
  constexpr char kField[] = "return_batches.ranges";
  GRADD_RETURN_IF_ERROR(ledger()->CheckRanges(kField, returned.ranges()));
  // Of others its lease may have ended while this was on its way.
  ReturnLeased(worker, returned.ranges(), *parts_.record, parts_.events);
  return absl::OkStatus();
}

void DataLeases::Answer(WorkerSession* session, const BatchLedger::Ranges& ranges) const {
  session->state().wants_batches = 0;
  v1::TrainResponse response;
  v1::BatchLease& lease = *response.mutable_batch_lease();
  *lease.mutable_ranges() = ranges;
  lease.set_ended(ranges.empty());
  lease.set_timeline(parts_.record->timeline()->number);
  session->state().sink->Send(std::move(response));
}

void DataLeases::Serve() {
  if (asking_.empty() || parts_.record->deleted()) return;
  const bool ended = parts_.course->over() || ledger()->used_up();
  const BatchRanges reserved = Reserved();
  std::deque<std::string> left;
  for (std::string& worker : std::exchange(asking_, {})) {
    WorkerSession* const session = parts_.sessions->Find(worker);
    if (session == nullptr || session->state().wants_batches == 0) continue;  // It has gone.
    if (ended) {
      Answer(session, {});
      continue;
    }
    state::v1::DataLease lease;
    *lease.mutable_ranges() = ledger()->Choose(worker, session->state().wants_batches, reserved);
    if (lease.ranges().empty()) {
      session->state().waited_for_batches = true;
      left.push_back(std::move(worker));
      continue;
    }
    const BatchLedger::Ranges ranges = lease.ranges();
    lease.set_worker(worker);
    lease.set_kind(state::v1::DataLease::KIND_GRANTED);
    lease.set_waited(session->state().waited_for_batches && !ledger()->HasAny(worker));
    parts_.events->ChangeLease(std::move(lease));
    Answer(session, ranges);
  }
  asking_ = std::move(left);
}

bool DataLeases::WaitsForBatches(const WorkerSession& session) const {
  return session.state().wants_batches != 0 && !ledger()->HasAny(session.state().worker);
}

absl::StatusOr<bool> DataLeases::CheckHeader(const std::string& worker,
                                             const v1::PushHeader& header) const {
  if (ledger() == nullptr) {
    if (header.batches().empty()) return true;
    return NoDataSetError("header.batches");
  }
  if (header.batches().empty()) {
    return InvalidArgument("BATCHES_INVALID",
                           "header.batches: empty, expected the batches that the push is of, since "
                           "the run has a data set");
  }
  GRADD_RETURN_IF_ERROR(ledger()->CheckRanges("header.batches", header.batches()));
  absl::StatusOr<bool> unused = ledger()->AllUnused(worker, header.batches());
  if (unused.ok() && header.examples() != 0) GRADD_RETURN_IF_ERROR(CheckExamples(header));
  return unused;
}

absl::Status DataLeases::CheckExamples(const v1::PushHeader& header) const {
  if (ledger() == nullptr) return absl::OkStatus();
  const int64_t examples = ledger()->ExamplesIn(header.batches());
  if (header.examples() == examples) return absl::OkStatus();
  return InvalidArgument("EXAMPLES_DIFFER",
                         absl::StrCat("header.examples: ", header.examples(), ", expected ",
                                      examples, ", those of the batches in header.batches"));
}

bool DataLeases::IsTooLate(const std::string& worker, const v1::PushHeader& header) const {
  if (ledger() == nullptr) return false;
  const absl::StatusOr<bool> unused = ledger()->AllUnused(worker, header.batches());
  // An error: its claim to them was forgotten meanwhile.
  if (!unused.ok() || !*unused) return true;
  const BatchRanges reserved = Reserved();
  return std::any_of(
      header.batches().begin(), header.batches().end(),
      [&](const v1::BatchRange& range) { return !reserved.Within(SpanOf(range)).empty(); });
}

void DataLeases::Name(const Verdict& verdict, state::v1::StepDecision* decision) const {
  if (ledger() == nullptr) return;
  for (size_t i = 0; i < verdict.used.size(); ++i) {
    *decision->mutable_used(static_cast<int>(i))->mutable_batches() =
        parts_.waiting->all()[verdict.used[i]].push->header().batches();
  }
}

void DataLeases::Name(size_t index, state::v1::FoldedPush* fold) const {
  if (ledger() == nullptr) return;
  *fold->mutable_push()->mutable_batches() = parts_.waiting->all()[index].push->header().batches();
}

std::vector<std::string> DataLeases::Idle() const {
  std::vector<std::string> idle;
  if (ledger() == nullptr || !ledger()->NoneFree(Reserved())) return idle;
  const Membership& members = parts_.record->members();
  for (const auto& [worker, member] : members.live()) {
    if (!members.IsExpected(*member) || members.IsComplete(*member)) continue;
    if (!ledger()->HasAny(worker)) idle.push_back(worker);
  }
  return idle;
}

void ReturnUnpushed(const PendingPush& answered, const Sessions& sessions, const RunRecord& record,
                    RunEvents* events) {
  const BatchLedger* const ledger = record.batches();
  // A newer session was told that it has them.
  if (answered.named_again.empty() || !sessions.Has(answered.session.get())) return;
  // They were not checked when the worker named them.
  if (ledger == nullptr || !ledger->CheckRanges("", answered.named_again).ok()) return;
  ReturnLeased(answered.worker, answered.named_again, record, events);
}

bool DataLeases::EndsWindow(const PolicyState& state) const {
  return ledger() != nullptr && ledger()->used_up() && state.waiting.empty() &&
         state.window_pushes > 0;
}

}  // namespace gradd
