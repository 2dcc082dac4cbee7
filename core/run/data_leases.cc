#include "core/run/data_leases.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"

namespace gradd {
namespace {

BatchRanges RangesIn(const BatchLedger::Ranges& ranges) {
  BatchRanges all;
  for (const v1::BatchRange& range : ranges) all.Add(SpanOf(range));
  return all;
}

// Those of ranges that nobody has checked, up to as many as a valid push names.
BatchRanges SomeIn(const BatchLedger::Ranges& ranges, int64_t batches) {
  BatchRanges some;
  int64_t left = BatchLedger::kMostLeased;
  for (const v1::BatchRange& range : ranges) {
    if (left == 0 || range.first() < 0 || range.first() >= batches || range.count() < 1) break;
    const int64_t count = std::min({range.count(), batches - range.first(), left});
    some.Add({range.first(), range.first() + count});
    left -= count;
  }
  return some;
}

void RemoveAll(const BatchRanges& removed, BatchRanges* ranges) {
  for (const BatchSpan& span : removed.All()) ranges->Remove(span);
}

absl::Status NoDataSetError(absl::string_view field) {
  return InvalidArgument("NO_DATA_SET",
                         absl::StrCat(field, ": set, and the run has no data set (Run.data)"));
}

}  // namespace

void DataLeases::Welcome(const std::string& worker, v1::Welcome* welcome) {
  if (ledger() == nullptr) return;
  welcome->mutable_limits()->set_max_leased_batches(BatchLedger::kMostLeased);
  v1::WelcomeData& data = *welcome->mutable_data();
  *data.mutable_data_set() = parts_.record->spec().data();
  ledger()->Fill(&data);
  BatchRanges leased = ledger()->LeasedTo(worker);
  // What it has pushed already is not to be pushed again, and what it does not count on is no loss.
  if (const auto found = in_pushes_.find(worker); found != in_pushes_.end()) {
    RemoveAll(found->second.named, &leased);
    found->second.forgotten = found->second.named;
    found->second.named_again = BatchRanges();
  }
  leased.Write(data.mutable_leased());
}

absl::Status DataLeases::Handle(WorkerSession* session, const v1::TrainRequest& request) {
  const std::string& worker = session->state().worker;
  const bool asks = request.has_lease_batches();
  if (ledger() == nullptr) return NoDataSetError(asks ? "lease_batches" : "return_batches");
  if (!asks) {
    const BatchLedger::Ranges& returned = request.return_batches().ranges();
    GRADD_RETURN_IF_ERROR(ledger()->CheckRanges("return_batches.ranges", returned));
    Forget(worker, returned);
    return absl::OkStatus();
  }
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

void DataLeases::End(const std::string& worker, const BatchRanges& ranges,
                     state::v1::DataLease::Kind kind) {
  const BatchRanges returned = ledger()->HeldOf(worker, ranges);
  // Of others its lease may have ended meanwhile.
  if (returned.empty()) return;
  state::v1::DataLease lease;
  lease.set_worker(worker);
  lease.set_kind(kind);
  returned.Write(lease.mutable_ranges());
  parts_.events->ChangeLease(std::move(lease));
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
  std::deque<std::string> left;
  for (std::string& worker : std::exchange(asking_, {})) {
    WorkerSession* const session = parts_.sessions->Find(worker);
    if (session == nullptr || session->state().wants_batches == 0) continue;  // It has gone.
    if (ended) {
      Answer(session, {});
      continue;
    }
    state::v1::DataLease lease;
    *lease.mutable_ranges() = ledger()->Choose(worker, session->state().wants_batches, reserved_);
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
  return std::any_of(
      header.batches().begin(), header.batches().end(),
      [&](const v1::BatchRange& range) { return !reserved_.Within(SpanOf(range)).empty(); });
}

void DataLeases::PushWaits(const std::string& worker, const v1::PushHeader& header) {
  if (ledger() == nullptr) return;
  InPush& push = in_pushes_[worker];
  GRADD_DCHECK(push.named.empty(), absl::StrCat("a second push of ", worker, " waits"));
  push.named = RangesIn(header.batches());
  for (const BatchSpan& span : push.named.All()) reserved_.Add(span);
}

void DataLeases::NameAgain(const std::string& worker, const v1::PushHeader& header) {
  const auto found = in_pushes_.find(worker);
  if (found == in_pushes_.end()) return;
  InPush& push = found->second;
  push.named_again = SomeIn(header.batches(), ledger()->data_set().batches());
  push.forgotten = push.named;
  RemoveAll(push.named_again, &push.forgotten);
  RemoveAll(push.named, &push.named_again);
}

void DataLeases::PushGone(const std::string& worker, bool for_good) {
  const auto found = in_pushes_.find(worker);
  if (found == in_pushes_.end()) return;
  const InPush push = std::move(found->second);
  in_pushes_.erase(found);
  RemoveAll(push.named, &reserved_);
  if (for_good) {
    End(worker, push.named_again, state::v1::DataLease::KIND_RETURNED);
  } else {
    End(worker, push.forgotten, state::v1::DataLease::KIND_LOST);
  }
}

void DataLeases::Forget(const std::string& worker, const BatchLedger::Ranges& ranges) {
  if (ledger() == nullptr) return;
  BatchRanges forgotten = SomeIn(ranges, ledger()->data_set().batches());
  if (const auto found = in_pushes_.find(worker); found != in_pushes_.end()) {
    // What counts is the push.
    InPush& push = found->second;
    for (const BatchSpan& span : push.named.All()) {
      for (const BatchSpan& both : forgotten.Within(span)) push.forgotten.Add(both);
    }
    RemoveAll(push.named, &forgotten);
  }
  End(worker, forgotten, state::v1::DataLease::KIND_RETURNED);
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
  if (ledger() == nullptr || !ledger()->NoneFree(reserved_)) return idle;
  const Membership& members = parts_.record->members();
  for (const auto& [worker, member] : members.live()) {
    if (!members.IsExpected(*member) || members.IsComplete(*member)) continue;
    if (!ledger()->HasAny(worker)) idle.push_back(worker);
  }
  return idle;
}

bool DataLeases::EndsWindow(const PolicyState& state) const {
  return ledger() != nullptr && ledger()->used_up() && state.waiting.empty() &&
         state.window_pushes > 0;
}

}  // namespace gradd
