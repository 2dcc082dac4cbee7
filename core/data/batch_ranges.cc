#include "core/data/batch_ranges.h"

#include <algorithm>

namespace gradd {

void BatchRanges::Add(BatchSpan span) {
  if (span.size() <= 0) return;
  // Those that it touches become one with it.
  auto at = spans_.upper_bound(span.begin);
  if (at != spans_.begin()) {
    auto before = at;
    if ((--before)->second >= span.begin) at = before;
  }
  while (at != spans_.end() && at->first <= span.end) {
    span = {std::min(span.begin, at->first), std::max(span.end, at->second)};
    size_ -= at->second - at->first;
    at = spans_.erase(at);
  }
  spans_.emplace(span.begin, span.end);
  size_ += span.size();
}

void BatchRanges::Remove(BatchSpan span) {
  for (const BatchSpan& common : Within(span)) {
    auto at = spans_.upper_bound(common.begin);
    --at;
    const BatchSpan whole{at->first, at->second};
    spans_.erase(at);
    if (whole.begin < common.begin) spans_.emplace(whole.begin, common.begin);
    if (common.end < whole.end) spans_.emplace(common.end, whole.end);
    size_ -= common.size();
  }
}

std::vector<BatchSpan> BatchRanges::Within(BatchSpan span) const {
  std::vector<BatchSpan> common;
  auto at = spans_.upper_bound(span.begin);
  if (at != spans_.begin()) --at;
  for (; at != spans_.end() && at->first < span.end; ++at) {
    const BatchSpan both{std::max(span.begin, at->first), std::min(span.end, at->second)};
    if (both.size() > 0) common.push_back(both);
  }
  return common;
}

std::vector<BatchSpan> BatchRanges::All() const {
  std::vector<BatchSpan> all;
  all.reserve(spans_.size());
  for (const auto& [begin, end] : spans_) all.push_back({begin, end});
  return all;
}

int64_t BatchRanges::FirstMissing(BatchSpan span) const {
  auto at = spans_.upper_bound(span.begin);
  if (at == spans_.begin()) return span.begin;
  --at;
  return std::clamp(at->second, span.begin, span.end);
}

void BatchRanges::Write(Proto* ranges) const {
  for (const auto& [begin, end] : spans_) {
    v1::BatchRange& range = *ranges->Add();
    range.set_first(begin);
    range.set_count(end - begin);
  }
}

}  // namespace gradd
