#include "server/memory_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace gradd {

bool MemoryWatch::ComesNear(int64_t taken, int64_t limit, absl::Duration now, Seen* seen) {
  const double share =
      static_cast<double>(taken) / static_cast<double>(std::max<int64_t>(1, limit));
  if (share >= kWellBelow) {
    seen->calm_since = absl::InfiniteDuration();
    if (share < kNear || seen->said) return false;
    seen->said = true;
    return true;
  }
  seen->calm_since = std::min(seen->calm_since, now);
  if (now - seen->calm_since >= kCalm) seen->said = false;
  return false;
}

std::vector<LogEntry> MemoryWatch::Look(const MemoryBudget& budget, absl::Duration now) {
  std::vector<LogEntry> entries;
  const auto look = [&](const char* use, int64_t taken, int64_t limit, Seen* seen) {
    if (!ComesNear(taken, limit, now, seen)) return;
    entries.push_back({LogEntry::Level::kWarning,
                       "memory near its limit",
                       {{"use", use},
                        {"taken_bytes", absl::StrCat(taken)},
                        {"limit_bytes", absl::StrCat(limit)}}});
  };
  const MemoryBudget::Limits& limits = budget.limits();
  int64_t total = 0;
  for (const MemoryUse use : kAllMemoryUses) {
    const int64_t taken = budget.taken_bytes(use);
    total += taken;
    // Versions are given back for whatever else needs the room.
    if (use == MemoryUse::kVersions) continue;
    look(NameOf(use), taken, std::min(limits.of(use), limits.total),
         &by_use_[static_cast<size_t>(use)]);
  }
  look("all", total - budget.taken_bytes(MemoryUse::kVersions), limits.total, &total_);
  return entries;
}

}  // namespace gradd
