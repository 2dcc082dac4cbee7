#include "server/runs_file.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/error.h"
#include "core/base/new_file.h"

namespace gradd {
namespace {

constexpr char kRunsHead[] = "runs of a gradd, which are in its memory only";
constexpr size_t kMaxNamedRuns = 10;
constexpr uintmax_t kMaxBytes = uintmax_t{64} << 20;  // A run takes about a hundred.

std::string LocalTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone());
}

// Takes the time after `name`= off `line`.
bool ParseTimeLine(absl::string_view line, absl::string_view name, absl::Time* time) {
  return absl::ConsumePrefix(&line, absl::StrCat(name, "=")) &&
         absl::ParseTime(absl::RFC3339_full, line, time, nullptr);
}

}  // namespace

std::string FormatRunsRecord(const RunsRecord& record) {
  const auto time = [](absl::Time at) {
    return absl::FormatTime(absl::RFC3339_full, at, absl::UTCTimeZone());
  };
  std::string text =
      absl::StrCat(kRunsHead, "\nsince=", time(record.since), "\nat=", time(record.at),
                   "\nend=", record.stopped ? "stopped" : "none", "\n");
  for (const RunsRecord::Run& run : record.runs) {
    absl::StrAppend(&text, "runs/", run.run_id, " ", run.step, "\n");
  }
  return text;
}

absl::StatusOr<RunsRecord> ParseRunsRecord(const std::string& text) {
  const absl::Status invalid = InvalidArgument("RUNS_FILE_INVALID", "not a file of runs");
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  RunsRecord record;
  constexpr size_t kHeadLines = 4;
  // The last line ends, too.
  if (lines.size() <= kHeadLines || lines[0] != kRunsHead || !lines.back().empty() ||
      !ParseTimeLine(lines[1], "since", &record.since) ||
      !ParseTimeLine(lines[2], "at", &record.at) ||
      (lines[3] != "end=stopped" && lines[3] != "end=none")) {
    return invalid;
  }
  record.stopped = lines[3] == "end=stopped";
  for (size_t i = kHeadLines; i + 1 < lines.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(lines[i], ' ');
    RunsRecord::Run run;
    absl::string_view name = parts.first;
    if (!absl::ConsumePrefix(&name, "runs/") || !absl::SimpleAtoi(parts.second, &run.step)) {
      return invalid;
    }
    run.run_id = std::string(name);
    record.runs.push_back(std::move(run));
  }
  return record;
}

absl::Status RunsFile::Write(const std::function<RunsRecord()>& now) {
  MutexLock lock(&mutex_);
  if (ended_) return absl::OkStatus();
  const RunsRecord record = now();
  return written_ == record.runs ? absl::OkStatus() : WriteLocked(record);
}

absl::Status RunsFile::End(const RunsRecord& record) {
  MutexLock lock(&mutex_);
  ended_ = true;
  return WriteLocked(record);
}

absl::Status RunsFile::WriteLocked(const RunsRecord& record) {
  if (path_.empty()) return absl::OkStatus();
  std::error_code ignored;  // If it is not there now, the next line says so.
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  const auto file = NewFile::Create(path_);
  GRADD_RETURN_IF_ERROR(file.status());
  GRADD_RETURN_IF_ERROR((*file)->Write(FormatRunsRecord(record)));
  GRADD_RETURN_IF_ERROR((*file)->Commit());
  written_ = record.runs;
  return absl::OkStatus();
}

bool RunsFileSchedule::Due(absl::Duration now, int64_t changes) {
  const absl::Duration interval = changes == changes_ ? kInterval : kLeastInterval;
  if (now - written_at_ < interval) return false;
  written_at_ = now;
  changes_ = changes;
  return true;
}

absl::StatusOr<RunsRecord> ReadRunsFile(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return InvalidArgument("FILE", absl::StrCat(path, " is no regular file"));
  }
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (!error && size > kMaxBytes) {
    return InvalidArgument(
        "FILE", absl::StrCat(path, " has ", size, " bytes, at most ", kMaxBytes, " expected"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("no file ", path));
  return ParseRunsRecord({std::istreambuf_iterator<char>(file), {}});
}

std::string LostRunsText(const RunsRecord& record) {
  if (record.runs.empty()) return "";
  std::vector<std::string> names;
  for (const RunsRecord::Run& run : record.runs) {
    if (names.size() == kMaxNamedRuns) {
      names.push_back(absl::StrCat("and ", record.runs.size() - kMaxNamedRuns, " more"));
      break;
    }
    names.push_back(absl::StrCat(run.run_id, " (step ", run.step, ")"));
  }
  return absl::StrCat("the last server here, which ran since ", LocalTime(record.since),
                      record.stopped ? " and was stopped at " : " and was killed some time after ",
                      LocalTime(record.at), ", had ", record.runs.size(),
                      record.runs.size() == 1 ? " run" : " runs",
                      " in its memory, lost with it: ", absl::StrJoin(names, ", "));
}

std::string DefaultRunsFile(const std::string& listen) {
  if (absl::EndsWith(listen, ":0")) return "";
  std::string state;
  if (const char* const place = std::getenv("XDG_STATE_HOME"); place != nullptr) state = place;
  if (state.empty()) {
    const char* const home = std::getenv("HOME");
    if (home == nullptr || *home != '/') return "";
    state = absl::StrCat(home, "/.local/state");
  }
  return absl::StrCat(state, "/gradd/runs-", absl::StrReplaceAll(listen, {{"/", "%"}}));
}

}  // namespace gradd
