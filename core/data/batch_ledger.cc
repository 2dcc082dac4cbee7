#include "core/data/batch_ledger.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr int kMostShown = 10;  // In progress, of batches that were used up by being skipped.

void AddTo(BatchLedger::Ranges* ranges, BatchSpan span) {
  // One range where the two touch.
  if (!ranges->empty()) {
    v1::BatchRange& last = *ranges->rbegin();
    if (SpanOf(last).end == span.begin) return last.set_count(last.count() + span.size());
  }
  v1::BatchRange& range = *ranges->Add();
  range.set_first(span.begin);
  range.set_count(span.size());
}

}  // namespace

BatchLedger::Ranges BatchLedger::Choose(const std::string& worker, int64_t count,
                                        const BatchRanges& reserved) const {
  int64_t left = std::min({count, kMostLeased - LeasedTo(worker).size(),
                           kMostLeasedInAll - (unused_.size() - free_.size())});
  Ranges chosen;
  const auto take = [&](BatchSpan span) {
    span.end = std::min(span.end, span.begin + left);
    if (span.size() <= 0) return;
    AddTo(&chosen, span);
    left -= span.size();
  };
  for (const BatchSpan& span : free_.All()) {
    if (left <= 0) break;
    int64_t begin = span.begin;
    for (const BatchSpan& skipped : reserved.Within(span)) {
      take({begin, skipped.begin});
      begin = skipped.end;
    }
    take({begin, span.end});
  }
  // What is reserved is unused as well.
  left = std::min(left, kMostLeasedInAll - unused_.size());
  if (left > 0) take({next_, data_set_.batches()});
  return chosen;
}

bool BatchLedger::NoneFree(const BatchRanges& reserved) const {
  if (unused_.size() - free_.size() >= kMostLeasedInAll) return true;
  if (next_ < data_set_.batches() && unused_.size() < kMostLeasedInAll) return false;
  const std::vector<BatchSpan> free = free_.All();
  return std::all_of(free.begin(), free.end(), [&](const BatchSpan& span) {
    return reserved.FirstMissing(span) == span.end;
  });
}

absl::Status BatchLedger::CheckRanges(absl::string_view field, const Ranges& ranges) const {
  const auto invalid = [&](const auto&... what) {
    return InvalidArgument("BATCHES_INVALID", absl::StrCat(field, ": ", what...));
  };
  BatchRanges seen;
  for (const v1::BatchRange& range : ranges) {
    if (range.first() < 0 || range.first() >= data_set_.batches()) {
      return invalid(range.first(), " is outside [0, ", data_set_.batches(), "), the batches");
    }
    const int64_t to_the_end = data_set_.batches() - range.first();
    if (range.count() < 1 || range.count() > to_the_end) {
      return invalid("a count of ", range.count(), " from ", range.first(), " on is outside [1, ",
                     to_the_end, "]");
    }
    if (const auto twice = seen.Within(SpanOf(range)); !twice.empty()) {
      return invalid(twice.front().begin, " is there twice");
    }
    seen.Add(SpanOf(range));
    if (seen.size() > kMostLeased) {
      return invalid("more than ", kMostLeased, " batches, the most that a worker may have");
    }
  }
  return absl::OkStatus();
}

std::optional<int64_t> BatchLedger::FirstUnclaimed(const std::string& worker,
                                                   const Ranges& ranges) const {
  const auto first_beside = [&](const BatchRanges& claims) -> std::optional<int64_t> {
    for (const v1::BatchRange& range : ranges) {
      const BatchSpan span = SpanOf(range);
      if (const int64_t missing = claims.FirstMissing(span); missing < span.end) return missing;
    }
    return std::nullopt;
  };
  const auto held = held_.find(worker);
  const BatchRanges none;
  const BatchRanges& has = held == held_.end() ? none : held->second;
  // Mostly it has all of them.
  const std::optional<int64_t> beside = first_beside(has);
  if (!beside.has_value() || former_.empty()) return beside;
  BatchRanges claims = has;
  for (const Former& former : former_) {
    if (former.worker != worker) continue;
    for (const BatchSpan& span : former.ranges.All()) claims.Add(span);
  }
  return first_beside(claims);
}

absl::StatusOr<bool> BatchLedger::AllUnused(const std::string& worker, const Ranges& ranges) const {
  if (const auto number = FirstUnclaimed(worker, ranges); number.has_value()) {
    const bool was_leased = *number < next_ && (!unused_.Has(*number) || free_.Has(*number));
    if (was_leased) {
      return InvalidArgument(
          "BATCH_LEASE_ENDED",
          absl::StrCat("header.batches: worker \"", worker, "\" has no lease of batch ", *number,
                       " any more, expected one that is leased to it"));
    }
    return InvalidArgument("BATCH_NOT_LEASED", absl::StrCat("header.batches: batch ", *number,
                                                            " is not leased to worker \"", worker,
                                                            "\", expected one that is"));
  }
  return std::all_of(ranges.begin(), ranges.end(), [&](const v1::BatchRange& range) {
    return unused_.FirstMissing(SpanOf(range)) == SpanOf(range).end;
  });
}

int64_t BatchLedger::ExamplesIn(const Ranges& ranges) const {
  int64_t examples = 0;
  for (const v1::BatchRange& range : ranges) {
    examples += data_set_.ExamplesIn(range.first(), range.count());
  }
  return examples;
}

void BatchLedger::Grant(const std::string& worker, const Ranges& ranges) {
  BatchRanges& held = held_[worker];
  for (const v1::BatchRange& range : ranges) {
    const BatchSpan span = SpanOf(range);
    GRADD_DCHECK(held.Within(span).empty(), absl::StrCat(worker, " has batch ", span.begin));
    // What is neither free nor new is somebody's, or used up.
    GRADD_DCHECK(free_.FirstMissing(span) >= std::min(next_, span.end),
                 absl::StrCat("batch ", free_.FirstMissing(span), " is granted and not free"));
    if (span.end > next_) {
      unused_.Add({next_, span.end});
      // Numbers are handed out in their order; if they were not, those between would be lost.
      free_.Add({next_, span.end});
      next_ = span.end;
    }
    free_.Remove(span);
    held.Add(span);
  }
  ForgetFormer(worker, ranges);
  if (held.empty()) held_.erase(worker);
}

void BatchLedger::Drop(const std::string& worker, const Ranges& ranges) {
  ForgetFormer(worker, ranges);
  const auto found = held_.find(worker);
  if (found == held_.end()) return;
  for (const v1::BatchRange& range : ranges) found->second.Remove(SpanOf(range));
  if (found->second.empty()) held_.erase(found);
}

void BatchLedger::ForgetFormer(const std::string& worker, const Ranges& ranges) {
  bool any_empty = false;
  for (Former& former : former_) {
    if (former.worker != worker) continue;
    former_spans_ -= former.ranges.spans();
    for (const v1::BatchRange& range : ranges) former.ranges.Remove(SpanOf(range));
    former_spans_ += former.ranges.spans();
    any_empty = any_empty || former.ranges.empty();
  }
  if (any_empty) {
    former_.erase(std::remove_if(former_.begin(), former_.end(),
                                 [](const Former& former) { return former.ranges.empty(); }),
                  former_.end());
  }
  LimitFormer();  // What is taken out of a range makes two of it.
}

void BatchLedger::LimitFormer() {
  while (former_spans_ > kMostFormerSpans) {
    former_spans_ -= former_.front().ranges.spans();
    former_.pop_front();
  }
}

void BatchLedger::Return(const std::string& worker, const Ranges& ranges) {
  const auto found = held_.find(worker);
  for (const v1::BatchRange& range : ranges) {
    if (found != held_.end()) {
      for (const BatchSpan& held : found->second.Within(SpanOf(range))) {
        for (const BatchSpan& unused : unused_.Within(held)) free_.Add(unused);
      }
    }
  }
  Drop(worker, ranges);
}

void BatchLedger::UseUp(BatchSpan span) {
  unused_.Remove(span);
  free_.Remove(span);
  skips_.erase(skips_.lower_bound(span.begin), skips_.lower_bound(span.end));
}

void BatchLedger::Use(const std::string& worker, const Ranges& ranges) {
  for (const v1::BatchRange& range : ranges) {
    const BatchSpan span = SpanOf(range);
    GRADD_DCHECK(unused_.FirstMissing(span) == span.end,
                 absl::StrCat("batch ", unused_.FirstMissing(span), " is used twice"));
    UseUp(span);
  }
  Drop(worker, ranges);
}

void BatchLedger::Skip(const std::string& worker, const Ranges& ranges) {
  const auto found = held_.find(worker);
  for (const v1::BatchRange& range : ranges) {
    if (found == held_.end()) break;
    for (const BatchSpan& held : found->second.Within(SpanOf(range))) {
      for (const BatchSpan& unused : unused_.Within(held)) {
        for (int64_t number = unused.begin; number < unused.end; ++number) {
          const auto counted = skips_.find(number);
          const int64_t skips = (counted == skips_.end() ? 0 : counted->second) + 1;
          if (skips < data_set_.most_skips()) {
            if (counted != skips_.end() || skips_.size() < kMostSkipCounts) skips_[number] = skips;
            continue;
          }
          UseUp({number, number + 1});
          ++skipped_;
          last_skipped_.push_front(number);
          if (last_skipped_.size() > kMostNamed) last_skipped_.pop_back();
        }
      }
    }
  }
  Return(worker, ranges);
}

void BatchLedger::AddFormer(const std::string& worker, BatchRanges ranges) {
  if (ranges.empty()) return;
  for (const BatchSpan& held : ranges.All()) {
    for (const BatchSpan& unused : unused_.Within(held)) free_.Add(unused);
  }
  former_spans_ += ranges.spans();
  former_.push_back({worker, std::move(ranges)});
  LimitFormer();
}

void BatchLedger::Lose(const std::string& worker, const Ranges& ranges) {
  const auto found = held_.find(worker);
  if (found == held_.end()) return;
  BatchRanges lost;
  for (const v1::BatchRange& range : ranges) {
    for (const BatchSpan& held : found->second.Within(SpanOf(range))) lost.Add(held);
  }
  for (const BatchSpan& span : lost.All()) found->second.Remove(span);
  if (found->second.empty()) held_.erase(found);
  AddFormer(worker, std::move(lost));
}

void BatchLedger::Lose(const std::string& worker) {
  const auto found = held_.find(worker);
  if (found == held_.end()) return;
  AddFormer(worker, std::move(found->second));
  held_.erase(found);
}

void BatchLedger::EndAll() {
  free_ = unused_;
  held_.clear();
  former_.clear();
  former_spans_ = 0;
}

BatchRanges BatchLedger::HeldOf(const std::string& worker, const BatchRanges& numbers) const {
  BatchRanges held;
  const auto found = held_.find(worker);
  if (found == held_.end()) return held;
  for (const BatchSpan& span : numbers.All()) {
    for (const BatchSpan& has : found->second.Within(span)) held.Add(has);
  }
  return held;
}

BatchRanges BatchLedger::LeasedTo(const std::string& worker) const {
  BatchRanges leased;
  const auto found = held_.find(worker);
  if (found == held_.end()) return leased;
  for (const BatchSpan& held : found->second.All()) {
    for (const BatchSpan& unused : unused_.Within(held)) leased.Add(unused);
  }
  return leased;
}

bool BatchLedger::HasAny(const std::string& worker) const {
  const auto found = held_.find(worker);
  if (found == held_.end()) return false;
  const std::vector<BatchSpan> all = found->second.All();
  return std::any_of(all.begin(), all.end(),
                     [&](const BatchSpan& span) { return !unused_.Within(span).empty(); });
}

void BatchLedger::FillEpoch(int64_t* epoch, int64_t* examples_left) const {
  const int64_t lowest = unused_.empty() ? next_ : unused_.lowest();
  *epoch = data_set_.EpochOf(lowest);
  *examples_left = 0;
  if (*epoch == data_set_.epochs()) return;
  const int64_t begin = *epoch * data_set_.batches_per_epoch();
  const int64_t end = begin + data_set_.batches_per_epoch();
  for (const BatchSpan& span : unused_.Within({begin, end})) {
    *examples_left += data_set_.ExamplesIn(span.begin, span.size());
  }
  const int64_t new_from = std::clamp(next_, begin, end);
  *examples_left += data_set_.ExamplesIn(new_from, end - new_from);
}

void BatchLedger::Fill(v1::DataProgress* progress) const {
  int64_t epoch = 0;
  int64_t examples_left = 0;
  FillEpoch(&epoch, &examples_left);
  progress->set_epoch(epoch);
  progress->set_epochs(data_set_.epochs());
  progress->set_epoch_examples_left(examples_left);
  progress->set_used_batches(next_ - unused_.size());
  progress->set_batches(data_set_.batches());
  progress->set_leased_batches(unused_.size() - free_.size());
  progress->set_returned_batches(free_.size());
  progress->set_skipped_batches(skipped_);
  for (const int64_t batch : last_skipped_) {
    if (progress->last_skipped_size() == kMostShown) break;
    progress->add_last_skipped(batch);
  }
}

void BatchLedger::Fill(v1::WelcomeData* welcome) const {
  int64_t epoch = 0;
  int64_t examples_left = 0;
  FillEpoch(&epoch, &examples_left);
  welcome->set_epoch(epoch);
  welcome->set_epoch_examples_left(examples_left);
}

bool BatchLedger::IsSound() const {
  BatchRanges whose = free_;
  int64_t numbers = free_.size();
  for (const auto& [worker, held] : held_) {
    for (const BatchSpan& span : LeasedTo(worker).All()) {
      whose.Add(span);
      numbers += span.size();
    }
  }
  // As many as there are, and the same ones: so each is there once.
  const std::vector<BatchSpan> unused = unused_.All();
  return numbers == unused_.size() && whose.size() == numbers &&
         std::all_of(unused.begin(), unused.end(), [&](const BatchSpan& span) {
           return whose.FirstMissing(span) == span.end && span.end <= next_;
         });
}

}  // namespace gradd
