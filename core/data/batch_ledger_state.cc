// Which batches are used up and who has the others, as that outlives the server.

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/data/batch_ledger.h"

namespace gradd {
namespace {

absl::Status DataStateInvalid(absl::string_view message) {
  return InvalidArgument("STATE_INVALID", absl::StrCat("data: ", message));
}

void WriteHolder(const std::string& worker, const BatchRanges& ranges,
                 state::v1::BatchHolderState* state) {
  state->set_worker(worker);
  ranges.Write(state->mutable_ranges());
}

// `below`: what no number reaches.
absl::StatusOr<BatchRanges> ReadRanges(absl::string_view what, const BatchLedger::Ranges& ranges,
                                       int64_t below) {
  BatchRanges read;
  for (const v1::BatchRange& range : ranges) {
    if (range.first() < 0 || range.count() < 1 || range.first() >= below ||
        range.count() > below - range.first()) {
      return DataStateInvalid(absl::StrCat(what, " has ", range.count(), " batches from ",
                                           range.first(), " on, expected some below ", below));
    }
    if (!read.Within(SpanOf(range)).empty()) {
      return DataStateInvalid(absl::StrCat(what, " has batch ", range.first(), " twice"));
    }
    read.Add(SpanOf(range));
  }
  return read;
}

}  // namespace

void BatchLedger::Write(state::v1::BatchLedgerState* state) const {
  state->Clear();
  state->set_next(next_);
  unused_.Write(state->mutable_unused());
  free_.Write(state->mutable_free());
  for (const auto& [worker, ranges] : held_) WriteHolder(worker, ranges, state->add_held());
  for (const Former& former : former_) {
    WriteHolder(former.worker, former.ranges, state->add_former());
  }
  for (const auto& [batch, skips] : skips_) {
    state::v1::BatchSkipsState& written = *state->add_skips();
    written.set_batch(batch);
    written.set_skips(skips);
  }
  state->set_skipped(skipped_);
  for (const int64_t batch : last_skipped_) state->add_last_skipped(batch);
}

absl::Status BatchLedger::Read(const state::v1::BatchLedgerState& state) {
  if (state.next() < 0 || state.next() > data_set_.batches()) {
    return DataStateInvalid(absl::StrCat("the next batch is ", state.next(), ", outside [0, ",
                                         data_set_.batches(), "]"));
  }
  next_ = state.next();
  auto unused = ReadRanges("what is unused", state.unused(), next_);
  GRADD_RETURN_IF_ERROR(unused.status());
  auto free = ReadRanges("what is free", state.free(), next_);
  GRADD_RETURN_IF_ERROR(free.status());
  unused_ = *std::move(unused);
  free_ = *std::move(free);
  held_.clear();
  for (const state::v1::BatchHolderState& holder : state.held()) {
    auto ranges = ReadRanges(absl::StrCat("\"", holder.worker(), "\""), holder.ranges(), next_);
    GRADD_RETURN_IF_ERROR(ranges.status());
    if (ranges->empty() || !held_.try_emplace(holder.worker(), *std::move(ranges)).second) {
      return DataStateInvalid(
          absl::StrCat("\"", holder.worker(), "\" is there twice, or has none"));
    }
  }
  former_.clear();
  former_spans_ = 0;
  for (const state::v1::BatchHolderState& holder : state.former()) {
    auto ranges = ReadRanges(absl::StrCat("\"", holder.worker(), "\""), holder.ranges(), next_);
    GRADD_RETURN_IF_ERROR(ranges.status());
    if (ranges->empty()) {
      return DataStateInvalid(absl::StrCat("\"", holder.worker(), "\" had none"));
    }
    former_spans_ += ranges->spans();
    former_.push_back({holder.worker(), *std::move(ranges)});
  }
  LimitFormer();
  skips_.clear();
  for (const state::v1::BatchSkipsState& skips : state.skips()) {
    if (!unused_.Has(skips.batch()) || skips.skips() < 1 ||
        skips.skips() >= data_set_.most_skips()) {
      return DataStateInvalid(absl::StrCat("batch ", skips.batch(), " was skipped ", skips.skips(),
                                           " times, expected an unused one and a count in [1, ",
                                           data_set_.most_skips(), ")"));
    }
    skips_[skips.batch()] = skips.skips();
  }
  if (state.skipped() < 0 || state.last_skipped_size() > state.skipped()) {
    return DataStateInvalid(absl::StrCat(state.skipped(), " batches are used up by skips, and ",
                                         state.last_skipped_size(), " of them are named"));
  }
  skipped_ = state.skipped();
  last_skipped_.assign(state.last_skipped().begin(), state.last_skipped().end());
  if (last_skipped_.size() > kMostNamed) last_skipped_.resize(kMostNamed);
  if (IsSound()) return absl::OkStatus();
  return DataStateInvalid("what is unused is not free or leased to one worker, each batch once");
}

}  // namespace gradd
