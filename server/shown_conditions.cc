#include "server/shown_conditions.h"

#include <algorithm>
#include <utility>

#include "core/base/duration.h"
#include "core/base/utf8.h"

namespace gradd {
namespace {

// How far two scrapes may differ about the same time: both times are read one after the other.
constexpr absl::Duration kJitter = absl::Seconds(1);

}  // namespace

int SeverityOf(v1::RunCondition condition) {
  switch (condition) {
    case v1::RUN_CONDITION_DISK_FAILED:
    case v1::RUN_CONDITION_DAMAGED:
    case v1::RUN_CONDITION_DIVERGED:
      return 4;
    case v1::RUN_CONDITION_NO_WORKERS:
      return 3;
    case v1::RUN_CONDITION_WAITING_FOR_WORKERS:
    case v1::RUN_CONDITION_WAITING_FOR_PUSHES:
    case v1::RUN_CONDITION_WAITING_FOR_MEMORY:
    case v1::RUN_CONDITION_WAITING_FOR_DISK:
      return 2;
    case v1::RUN_CONDITION_PAUSED:
    case v1::RUN_CONDITION_HELD:
    case v1::RUN_CONDITION_RECOVERING:
      return 1;
    default:
      return 0;
  }
}

ShownConditions::Shown ShownConditions::Look(const std::string& run_id,
                                             const v1::RunProgress& progress, absl::Time now) {
  const auto [found, is_new] = entries_.try_emplace(run_id);
  Entry& entry = found->second;
  if (is_new) entry.at = now;
  if (is_new || entry.kind != progress.condition()) {
    entry.kind = progress.condition();
    entry.shown = {now, ""};
  }
  if (progress.has_condition_time()) {
    const absl::Time since = now - FromProto(progress.condition_time());
    if (absl::AbsDuration(since - entry.shown.since) > kJitter) entry.shown.since = since;
  }
  entry.texts =
      std::min<double>(kTexts, entry.texts + absl::FDivDuration(now - entry.at, kTextInterval));
  entry.at = now;
  std::string reason = Abbreviated(progress.reason(), kMaxReasonBytes);
  if (reason.empty()) {
    entry.shown.reason.clear();
  } else if (reason != entry.shown.reason && entry.texts >= 1) {
    entry.texts -= 1;
    entry.shown.reason = std::move(reason);
  }
  return entry.shown;
}

void ShownConditions::Keep(const std::set<std::string>& run_ids) {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry = run_ids.count(entry->first) > 0 ? std::next(entry) : entries_.erase(entry);
  }
}

}  // namespace gradd
