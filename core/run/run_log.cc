#include "core/run/run_log.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace gradd {
namespace {

// As it is where that is one word, else quoted.
std::string ValueText(const std::string& value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c)) && c != '"' && c != '\\' && c != '=';
  });
  return plain ? value : absl::StrCat("\"", absl::Utf8SafeCEscape(value), "\"");
}

}  // namespace

std::string LogLine(absl::string_view event, const LogEntry::Fields& fields) {
  std::string line = absl::StrCat(event, ":");
  for (const auto& [key, value] : fields) absl::StrAppend(&line, " ", key, "=", ValueText(value));
  return line;
}

std::string LogEntry::Line() const { return LogLine(event, fields); }

void RunLog::KeepLocked(LogEntry entry) {
  if (entries_.size() < kMostEntries) {
    entries_.push_back(std::move(entry));
  } else {
    ++dropped_;
  }
}

void RunLog::Keep(LogEntry entry) {
  MutexLock lock(&mutex_);
  KeepLocked(std::move(entry));
}

void RunLog::AddLimited(const std::string& kind, absl::Duration now, LogEntry entry) {
  MutexLock lock(&mutex_);
  const auto found = limited_.find(kind);
  if (found != limited_.end()) {
    ++found->second.repeated;
    found->second.last = std::move(entry);
  } else if (limited_.size() < kMostEntries) {
    limited_[kind].kept_at = now;
    KeepLocked(std::move(entry));
  } else {
    ++dropped_;
  }
}

std::vector<LogEntry> RunLog::Take(absl::Duration now) {
  MutexLock lock(&mutex_);
  for (auto it = limited_.begin(); it != limited_.end();) {
    Limited& limited = it->second;
    if (now - limited.kept_at < kInterval) {
      ++it;
    } else if (limited.repeated == 0) {
      it = limited_.erase(it);
    } else {
      limited.last.fields.emplace_back("repeated", absl::StrCat(limited.repeated));
      KeepLocked(std::move(limited.last));
      limited = {now, 0, {}};
      ++it;
    }
  }
  std::vector<LogEntry> entries(std::make_move_iterator(entries_.begin()),
                                std::make_move_iterator(entries_.end()));
  entries_.clear();
  if (dropped_ > 0) {
    entries.push_back({LogEntry::Level::kWarning,
                       "log entries dropped",
                       {{"count", absl::StrCat(std::exchange(dropped_, 0))}}});
  }
  return entries;
}

}  // namespace gradd
