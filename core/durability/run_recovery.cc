#include "core/durability/run_recovery.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/error.h"
#include "core/durability/checkpoint_reader.h"
#include "core/durability/log_reader.h"
#include "core/durability/logged_event.h"
#include "core/run/run_replay.h"

namespace gradd {
namespace {

constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

absl::Status Damaged(absl::string_view path, absl::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "LOG_DAMAGED", absl::StrCat(path, ": ", what));
}

// One run while it is read.
class Recovery {
 public:
  Recovery(std::shared_ptr<const RunFolder> folder, std::shared_ptr<Executor> io,
           RunRegistry* registry)
      : folder_(std::move(folder)), registry_(registry) {
    recovered_.log = std::make_shared<DurableLog>(folder_, std::move(io));
  }

  absl::StatusOr<RecoveredRun> Read() {
    GRADD_RETURN_IF_ERROR(folder_->RemoveTemporary());
    GRADD_RETURN_IF_ERROR(ReadHeaders());
    GRADD_RETURN_IF_ERROR(ReadCheckpoint());
    for (size_t i = 0; i < headers_.size(); ++i) GRADD_RETURN_IF_ERROR(ReadSegment(i));
    if (recovered_.run == nullptr) {
      // One that had a checkpoint was complete once.
      if (newest_timeline_ > 0) {
        return Damaged(folder_->path(), absl::StrCat("none of its checkpoints can be read: ",
                                                     absl::StrJoin(recovered_.notes, "; ")));
      }
      return Error(absl::StatusCode::kNotFound, "RUN_NOT_FOUND",
                   absl::StrCat(folder_->path(), ": no run was ever complete there"));
    }
    GRADD_RETURN_IF_ERROR(GoOn());
    return std::move(recovered_);
  }

 private:
  absl::Status ReadHeaders() {
    const auto segments = folder_->Segments();
    GRADD_RETURN_IF_ERROR(segments.status());
    for (const int64_t segment : *segments) {
      const std::string path = folder_->SegmentPath(segment);
      const auto reader = LogReader::Open(&folder_->files(), path, nullptr);
      GRADD_RETURN_IF_ERROR(reader.status());
      const state::v1::LogHeader& header = (*reader)->header();
      if (header.segment() != segment || header.run_id() != folder_->run_id()) {
        return Damaged(path, absl::StrCat("it is segment ", header.segment(), " of run \"",
                                          header.run_id(), "\""));
      }
      if (!headers_.empty() && header.run_uid() != headers_[0].run_uid()) {
        return Damaged(path, absl::StrCat("it is of the run with uid ", header.run_uid(),
                                          ", and those before of ", headers_[0].run_uid()));
      }
      headers_.push_back(header);
    }
    return absl::OkStatus();
  }

  // Whether the run went on from an earlier point than that.
  bool IsGivenUp(uint64_t timeline, int64_t events) const {
    return std::any_of(headers_.begin(), headers_.end(), [&](const state::v1::LogHeader& header) {
      return header.timeline() > timeline && header.first_event() <= events;
    });
  }

  absl::Status ReadCheckpoint() {
    const auto checkpoints = folder_->Checkpoints();
    GRADD_RETURN_IF_ERROR(checkpoints.status());
    if (!checkpoints->empty()) newest_timeline_ = checkpoints->back().timeline;
    for (auto next = checkpoints->rbegin(); next != checkpoints->rend(); ++next) {
      const std::string path = folder_->CheckpointPath(*next);
      RunOrigin origin;
      origin.log = recovered_.log;
      const auto info = ReadCheckpointInfo(&folder_->files(), path);
      absl::Status read = info.status();
      if (read.ok() && IsGivenUp(info->timeline, info->events)) continue;
      if (read.ok() && info->run_id != folder_->run_id()) {
        read = Damaged(path, absl::StrCat("it is of run \"", info->run_id, "\""));
      }
      if (read.ok() && (info->timeline != next->timeline || info->step != next->step)) {
        read = Damaged(path, absl::StrCat("it is of step ", info->step, " of timeline ",
                                          info->timeline, ": somebody has renamed it"));
      }
      if (read.ok()) {
        auto capture = gradd::ReadCheckpoint(&folder_->files(), path, registry_->environment(),
                                             headers_.empty() ? "" : headers_[0].run_uid());
        read = capture.status();
        if (read.ok()) origin.capture = *std::move(capture);
      }
      if (MayBeReadLater(read) || ReasonOf(read) == "FILE_VERSION") return read;
      if (!read.ok()) {
        recovered_.notes.push_back(std::string(read.message()));
        continue;
      }
      auto run = registry_->Restore(folder_->run_id(), origin.capture->state.spec(), origin);
      GRADD_RETURN_IF_ERROR(run.status());
      Begin(*std::move(run));
      stands_still_ = origin.capture->state.state() != v1::RUN_STATE_RUNNING;
      recovered_.checkpoint = *next;
      recovered_.checkpoint_events = origin.capture->state.events();
      return absl::OkStatus();
    }
    return absl::OkStatus();
  }

  void Begin(std::shared_ptr<Run> run) {
    recovered_.run = std::move(run);
    replay_.emplace(recovered_.run);
  }

  absl::Status ReadSegment(size_t index) {
    const bool is_last = index + 1 == headers_.size();
    // What later segments have instead.
    int64_t limit = kNone;
    for (size_t later = index + 1; later < headers_.size(); ++later) {
      limit = std::min(limit, headers_[later].first_event() - 1);
    }
    // Of no use beside the checkpoint, whatever it is like: what it has is in that.
    if (limit <= recovered_.checkpoint_events) return absl::OkStatus();
    const std::string path = folder_->SegmentPath(headers_[index].segment());
    const auto opened = LogReader::Open(&folder_->files(), path, registry_->environment().budget);
    GRADD_RETURN_IF_ERROR(opened.status());
    LogReader& reader = **opened;
    for (;;) {
      const absl::StatusOr<bool> next = reader.Next();
      GRADD_RETURN_IF_ERROR(next.status());
      if (!*next) break;
      if (reader.event().event().number() > limit) continue;
      if (absl::Status taken = Take(reader); !taken.ok()) {
        if (MayBeReadLater(taken)) return taken;
        return Damaged(absl::StrCat(path, ", byte ", reader.position()), taken.message());
      }
    }
    if (reader.torn_bytes() > 0) {
      recovered_.notes.push_back(absl::StrCat(
          path, ": the last ", reader.torn_bytes(), " bytes, from byte ", reader.bytes(),
          " on, were being written when the server ended; nobody was told of them"));
    }
    const bool closed = reader.end().has_value();
    if (!is_last && !closed && headers_[index + 1].previous_bytes() != reader.bytes()) {
      return Damaged(
          path, absl::StrCat("it ends at byte ", reader.bytes(), ", and the segment after it says ",
                             headers_[index + 1].previous_bytes()));
    }
    if (is_last) {
      end_ = reader.end();
      last_bytes_ = closed ? 0 : reader.bytes();
    }
    return absl::OkStatus();
  }

  absl::Status Take(const LogReader& reader) {
    const state::v1::Event& event = reader.event().event();
    if (never_told_) return absl::OkStatus();
    if (recovered_.run == nullptr) return Create(event);
    const int64_t next = recovered_.run->ReadCheckpointFacts().events + 1;
    if (event.number() < next) return absl::OkStatus();
    if (event.has_state() && event.state().state() == v1::RUN_STATE_RUNNING) stands_still_ = false;
    if (event.has_restored()) {
      stands_still_ = false;
      return Restore(event);
    }
    if (event.number() == next && carried_.empty() && !gap_) {
      const auto pushes = ReadPushes(reader.event(), recovered_.run->layout(), reader.data());
      GRADD_RETURN_IF_ERROR(pushes.status());
      ++recovered_.replayed_events;
      GRADD_RETURN_IF_ERROR(replay_->Apply(event, *pushes));
      // Also by a change, as of `max_steps`.
      if (recovered_.run->ReadCheckpointFacts().state == v1::RUN_STATE_RUNNING) {
        stands_still_ = false;
      }
      return absl::OkStatus();
    }
    gap_ = true;
    if (IsControlEvent(event)) carried_.push_back(event);
    return absl::OkStatus();
  }

  // The run went back, and the checkpoint that has that is not there. If it never was, nobody was
  // told of this, and of what came after it; but for the number of the timeline, which is not used
  // twice. If it was, and is lost or damaged, what people did counts as after any other gap.
  absl::Status Restore(const state::v1::Event& event) {
    carried_.push_back(event);
    never_told_ = newest_timeline_ < event.restored().number();
    if (!never_told_) {
      gap_ = true;
      return absl::OkStatus();
    }
    state::v1::Event& begun = carried_.back();
    begun.mutable_timeline()->set_number(event.restored().number());
    recovered_.notes.push_back(absl::StrCat(
        folder_->path(), ": the server ended while the run went back to step ",
        event.restored().step(), "; nobody was told, and it goes on as it was before"));
    return absl::OkStatus();
  }

  absl::Status Create(const state::v1::Event& event) {
    if (!event.has_created() || event.number() != 1) {
      return Error(absl::StatusCode::kDataLoss, "LOG_DAMAGED",
                   absl::StrCat("event ", event.number(),
                                " is the first one that is left, and there "
                                "is no checkpoint that can be read"));
    }
    never_told_ = event.created().given();
    if (never_told_) return absl::OkStatus();
    RunOrigin origin;
    origin.log = recovered_.log;
    origin.created = &event;
    auto run = registry_->Restore(folder_->run_id(), event.created().spec(), origin);
    GRADD_RETURN_IF_ERROR(run.status());
    Begin(*std::move(run));
    return absl::OkStatus();
  }

  absl::Status GoOn() {
    state::v1::RunState state;
    recovered_.run->WriteState(&state);
    DurableLog::Position position;
    position.segment = headers_.empty() ? 1 : headers_.back().segment() + 1;
    position.previous_bytes = last_bytes_;
    position.journal = state.spec().journal();
    position.run_uid = state.uid();
    position.timeline = state.timeline();
    position.last_event = state.events();
    recovered_.log->GoOn(position);
    const bool is_complete =
        end_.has_value() && end_->complete() && end_->last_event() == state.events();
    // People know that it is finished only where nothing can be missing.
    const bool is_finished = state.state() == v1::RUN_STATE_FINISHED;
    const bool all_is_there =
        !gap_ && (state.spec().journal() || is_complete || is_finished || stands_still_);
    recovered_.steps_are_lost = !all_is_there;
    // First, so that the segment that begins with it says that it gives up what is lost.
    if (recovered_.steps_are_lost) replay_->BeginTimeline();
    for (const state::v1::Event& event : carried_) GRADD_RETURN_IF_ERROR(replay_->CarryOver(event));
    replay_->GoOn();
    // Otherwise the new timeline has begun one.
    if (!state.spec().journal() && !recovered_.steps_are_lost) recovered_.log->AwaitSegment();
    return absl::OkStatus();
  }

  const std::shared_ptr<const RunFolder> folder_;
  RunRegistry* const registry_;
  RecoveredRun recovered_;
  std::vector<state::v1::LogHeader> headers_;  // Of all segments.
  std::optional<RunReplay> replay_;
  uint64_t newest_timeline_ = 0;           // Of all checkpoints' names; 0: there is none.
  bool never_told_ = false;                // A checkpoint that it waited for is not there.
  bool stands_still_ = false;              // No step can have been made since the checkpoint.
  bool gap_ = false;                       // Events are missing.
  std::vector<state::v1::Event> carried_;  // Control events after that.
  std::optional<state::v1::LogEnd> end_;   // Of the last segment.
  int64_t last_bytes_ = 0;
};

}  // namespace

bool MayBeReadLater(const absl::Status& status) {
  return status.code() == absl::StatusCode::kResourceExhausted ||
         status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kPermissionDenied;
}

absl::StatusOr<RecoveredRun> RecoverRun(const std::shared_ptr<const RunFolder>& folder,
                                        std::shared_ptr<Executor> io, RunRegistry* registry) {
  return Recovery(folder, std::move(io), registry).Read();
}

}  // namespace gradd
