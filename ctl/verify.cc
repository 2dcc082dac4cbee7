#include "ctl/verify.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/number_text.h"
#include "core/base/utf8.h"
#include "core/durability/checkpoint_reader.h"
#include "core/durability/log_reader.h"
#include "core/durability/log_segment.h"
#include "core/durability/run_folder.h"
#include "core/run/run_spec.h"
#include "ctl/status.h"
#include "nlohmann/json.hpp"

namespace gradd::ctl {
namespace {

// One file, and what is to be said of it.
struct Verdict {
  absl::Status status;
  std::string text;  // Where that is OK.
};

// What of a segment the next one has to agree with.
struct SegmentEnd {
  bool closed = false;
  int64_t bytes = 0;  // That count.
};

class Verification {
 public:
  Verification(FileSystem* files, std::string directory, bool json, Console* console)
      : files_(*files), directory_(std::move(directory)), json_(json), console_(*console) {}

  absl::Status Run() {
    const auto names = files_.List(absl::StrCat(directory_, "/runs"));
    if (!names.ok()) {
      return FileError(
          absl::StrCat(directory_, " is no state directory of gradd: ", names.status().message()));
    }
    // Else it is made, and that would be a change.
    const auto beside = files_.List(directory_);
    const bool has_lock =
        beside.ok() && std::find(beside->begin(), beside->end(), "lock") != beside->end();
    if (has_lock && !files_.Lock(absl::StrCat(directory_, "/lock")).ok()) {
      console_.err << "gradctl: a server has " << directory_
                   << ": what it writes meanwhile may look damaged" << std::endl;
    }
    for (const std::string& run_id : *names) {
      if (ValidateRunId(run_id).ok()) VerifyRun(run_id);
    }
    if (damaged_ > 0) {
      return Error(absl::StatusCode::kDataLoss, "DAMAGED",
                   absl::StrCat(damaged_, " of ", CountText(files_seen_, "file", "files"),
                                damaged_ == 1 ? " is damaged" : " are damaged"));
    }
    if (!json_) {
      console_.out << CountText(files_seen_, "file", "files") << ", all as they were written\n";
    }
    return absl::OkStatus();
  }

 private:
  void VerifyRun(const std::string& run_id) {
    const RunFolder folder(&files_, directory_, run_id);
    const auto names = files_.List(folder.path());
    if (!names.ok()) return Say(folder.path(), {names.status(), ""});
    std::optional<SegmentEnd> last;
    const auto segments = folder.Segments();
    int64_t before = 0;
    for (const int64_t segment : segments.value_or(std::vector<int64_t>())) {
      if (before > 0 && segment > before + 1) {
        Say(folder.SegmentPath(before + 1),
            {Damaged(folder.SegmentPath(before + 1), "it is missing"), ""});
      }
      before = segment;
      Say(folder.SegmentPath(segment),
          VerifySegment(run_id, folder.SegmentPath(segment), segment, &last));
    }
    // Without both, it is a creation that nobody was told of.
    if (before == 0 && folder.Checkpoints().ok() && !folder.Checkpoints()->empty()) {
      Say(folder.path(), {Damaged(folder.path(), "no segment of its log is there"), ""});
    }
    for (const std::string& name : *names) {
      const std::string path = absl::StrCat(folder.path(), "/", name);
      RunFolder::Checkpoint checkpoint;
      if (ParseCheckpointName(name, &checkpoint)) {
        Say(path, VerifyOneCheckpoint(run_id, path, checkpoint));
      } else if (absl::EndsWith(name, kTemporarySuffix)) {
        Say(path, {absl::OkStatus(), "was being written when the server ended, and is of no use"});
      } else if (ParseLogSegmentName(name) == 0) {
        Say(path, {absl::OkStatus(), "not one of gradd's files"});
      }
    }
  }

  Verdict VerifyOneCheckpoint(const std::string& run_id, const std::string& path,
                              const RunFolder::Checkpoint& name) {
    const auto info = VerifyCheckpoint(&files_, path);
    if (!info.ok()) return {info.status(), ""};
    if (info->run_id != run_id || info->timeline != name.timeline || info->step != name.step) {
      return {Damaged(path, absl::StrCat("it is of run ", Quoted(info->run_id), ", step ",
                                         info->step, " of timeline ", info->timeline)),
              ""};
    }
    return {absl::OkStatus(), absl::StrCat("ok, step ", info->step, " of timeline ", info->timeline,
                                           ", ", CountText(info->bytes, "byte", "bytes"))};
  }

  Verdict VerifySegment(const std::string& run_id, const std::string& path, int64_t segment,
                        std::optional<SegmentEnd>* last) {
    const auto opened = LogReader::Open(&files_, path, nullptr);
    const std::optional<SegmentEnd> before = std::exchange(*last, std::nullopt);
    if (!opened.ok()) return {opened.status(), ""};
    LogReader& reader = **opened;
    const state::v1::LogHeader& header = reader.header();
    if (header.segment() != segment || header.run_id() != run_id) {
      return {Damaged(path, absl::StrCat("byte 0: it is segment ", header.segment(), " of run ",
                                         Quoted(header.run_id()))),
              ""};
    }
    if (before.has_value() && !before->closed && before->bytes != header.previous_bytes()) {
      return {
          Damaged(path, absl::StrCat("byte 0: the segment before it ends at byte ", before->bytes,
                                     ", and this one says ", header.previous_bytes())),
          ""};
    }
    int64_t events = 0;
    for (;; ++events) {
      const absl::StatusOr<bool> next = reader.Next();
      if (!next.ok()) return {next.status(), ""};
      if (!*next) break;
    }
    *last = SegmentEnd{reader.end().has_value(), reader.bytes()};
    std::string text = absl::StrCat("ok, ", CountText(events, "event", "events"), ", ",
                                    CountText(reader.bytes(), "byte", "bytes"));
    if (reader.torn_bytes() > 0) {
      absl::StrAppend(&text, "; from byte ", reader.bytes(), " on, ",
                      CountText(reader.torn_bytes(), "byte was", "bytes were"),
                      " being written when the server ended, and count for nothing");
    }
    return {absl::OkStatus(), text};
  }

  static absl::Status Damaged(const std::string& path, absl::string_view what) {
    return Error(absl::StatusCode::kDataLoss, "DAMAGED", absl::StrCat(path, ": ", what));
  }

  void Say(const std::string& path, const Verdict& verdict) {
    ++files_seen_;
    if (!verdict.status.ok()) ++damaged_;
    if (json_) {
      console_.out << nlohmann::ordered_json{{"file", path},
                                             {"ok", verdict.status.ok()},
                                             {"message",
                                              verdict.status.ok()
                                                  ? verdict.text
                                                  : std::string(verdict.status.message())}}
                          .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                   << "\n";
      return;
    }
    // Messages of errors have the path already.
    std::string text = verdict.status.ok() ? verdict.text : std::string(verdict.status.message());
    if (absl::StartsWith(text, path)) text = text.substr(path.size());
    const std::string damaged = verdict.status.ok() ? "" : "DAMAGED";
    const bool joined = absl::StartsWith(text, ", ") || absl::StartsWith(text, ": ");
    console_.out << ForTerminal(
        absl::StrCat(path, ": ", damaged, verdict.status.ok() || joined ? "" : ": ", text, "\n"));
  }

  FileSystem& files_;
  const std::string directory_;
  const bool json_;
  Console& console_;
  int64_t files_seen_ = 0;
  int64_t damaged_ = 0;
};

}  // namespace

absl::Status Verify(const CommandLine& line, FileSystem* files, Console* console) {
  return Verification(files, line.directory, line.json, console).Run();
}

}  // namespace gradd::ctl
