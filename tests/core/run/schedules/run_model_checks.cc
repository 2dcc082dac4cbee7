// What must hold where nothing is left to be done but what workers and time do.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/run/schedules/run_model.h"

namespace gradd {

bool RunModel::AnyPending() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const auto& entry) { return entry.second.pending.has_value(); });
}

bool RunModel::IsHeldBack(const std::string& worker) const {
  return std::any_of(described_.workers().begin(), described_.workers().end(),
                     [&](const v1::WorkerStatus& status) {
                       return status.worker() == worker &&
                              status.state() == v1::WORKER_STATE_HELD_BACK;
                     });
}

bool RunModel::NothingInFlight() const {
  if (AnyPending()) return false;
  const auto keeps_no_room = [&](const Push& push) {
    return (now_.synchronous && push.base_step < now_.step - now_.carried_staleness) ||
           push.timeline != now_.timeline;
  };
  return std::all_of(unanswered_.begin(), unanswered_.end(), [&](const auto& entry) {
    return std::all_of(entry.second.begin(), entry.second.end(), keeps_no_room);
  });
}

void RunModel::CheckAnswers() {
  for (const auto& [stream, pushes] : unanswered_) {
    if (!stream->IsOpen()) continue;
    for (const Push& push : pushes) {
      if (push.complete < 0 || IsPending(push, members_[push.worker])) continue;
      Fail(absl::StrCat("push ", push.sequence, " of ", push.worker,
                        " is complete, waits for no step, and is not answered"));
    }
  }
}

void RunModel::CheckAhead(const v1::Run& run) {
  // When it begins to have a bound, all begin together; and whoever had to wait for batches goes on
  // where others are.
  const bool same = (!now_.bound.has_value() || had_bound_) && !run.has_data();
  had_bound_ = now_.bound.has_value();
  const v1::DataProgress& data = run.progress().data();
  const bool none_free = data.used_batches() + data.leased_batches() >= data.batches();
  bound_was_off_ = bound_was_off_ || (run.has_data() && none_free);
  bool within = true;
  std::optional<int64_t> least;
  std::optional<int64_t> moved;  // How far the slowest one has come since the last look.
  for (const v1::WorkerStatus& status : run.workers()) {
    Member& member = members_[status.worker()];
    const bool live =
        status.state() != v1::WORKER_STATE_EXPIRED && status.state() != v1::WORKER_STATE_LEFT;
    if (live) {
      least = std::min(least.value_or(status.ahead()), status.ahead());
      within = within && status.ahead() <= largest_bound_ + 1;
      if (now_.bound.has_value() && !bound_was_off_ && status.ahead() > largest_bound_ + 1) {
        Fail(absl::StrCat(status.worker(), " is ", status.ahead(),
                          " pushes ahead, and the bound was at most ", largest_bound_));
      }
      const int64_t taken = status.applied_pushes() - member.ahead_with;
      const int64_t of_slowest = taken - (status.ahead() - member.ahead);
      if (same && member.was_live && !member.just_joined &&
          of_slowest != moved.value_or(of_slowest)) {
        Fail(absl::StrCat(status.worker(), " is ", status.ahead(), " pushes ahead, was ",
                          member.ahead, ", and ", taken, " of its pushes were taken"));
      }
      if (member.was_live && !member.just_joined) moved = of_slowest;
    }
    member.was_live = live;
    member.ahead = status.ahead();
    member.ahead_with = status.applied_pushes();
  }
  if (within) bound_was_off_ = false;
  if (least.value_or(0) != 0) Fail(absl::StrCat("the slowest worker is ", *least, " ahead"));
}

void RunModel::CheckLeases(bool idle, bool ticked) {
  const absl::Duration now = clock_->Elapsed();
  for (auto& [worker, member] : members_) {
    const auto pushes = unanswered_.find(member.stream);
    const bool has_half = idle && member.live && !member.pending.has_value() &&
                          member.stream != nullptr && member.stream->IsOpen() &&
                          !member.stream->held() && pushes != unanswered_.end() &&
                          !pushes->second.empty() && pushes->second.back().complete < 0;
    if (!has_half) {
      member.half_since = absl::InfiniteDuration();
      continue;
    }
    member.half_since = std::max(member.last_sign, std::min(member.half_since, now));
    if (ticked && now - member.half_since >= now_.lease) {
      Fail(absl::StrCat(worker, " has sent nothing of a push for ",
                        absl::FormatDuration(now - member.half_since), " and keeps its lease"));
    }
  }
}

void RunModel::CheckDue(bool ticked) {
  for (const auto& [worker, member] : members_) {
    if (member.pending.has_value() && member.pending->timeline != now_.timeline) {
      Fail(absl::StrCat("push ", member.pending->sequence, " of ", worker, " of timeline ",
                        member.pending->timeline, " waits, and timeline ", now_.timeline,
                        " has begun"));
    }
  }
  if (now_.timeline != timelines_asked_ + 1) {
    Fail(absl::StrCat("it is on timeline ", now_.timeline, " after ", timelines_asked_,
                      " that were to begin"));
  }
  for (const auto& [worker, member] : members_) {
    if (!now_.synchronous || !member.pending.has_value() || MayBeGone(*member.pending)) continue;
    if (member.pending->base_step < now_.step - now_.carried_staleness) {
      Fail(absl::StrCat("push ", member.pending->sequence, " of ", worker, " from step ",
                        member.pending->base_step, " waits, and its step was made without it"));
    }
  }
  if (!now_.moves) return;
  bool all_complete = live() > 0;
  int64_t expected = 0;
  std::vector<absl::Duration> complete_at;
  bool waits = !window_.empty();
  for (const auto& [worker, member] : members_) {
    const int64_t in = member.in_window + (member.pending.has_value() ? 1 : 0);
    const bool idle = data_ != nullptr && data_->SurelyIdle(worker);
    all_complete = all_complete && (!IsExpected(member) || in >= now_.window || idle);
    if (IsExpected(member)) ++expected;
    if (!member.pending.has_value()) continue;
    const Push& push = *member.pending;
    complete_at.push_back(std::max(push.complete_at, waited_since_));
    if (MayBeGone(push)) return;
    waits = true;
    if (!now_.synchronous || in < now_.window) {
      return Fail(
          absl::StrCat("push ", push.sequence, " of ", worker,
                       " waits, and nothing is to be waited for: ", described_.ShortDebugString()));
    }
  }
  if (!waits || !now_.synchronous) return;
  if (ticked) joined_ = false;
  if (formed_ && all_complete && IsSmall() && !joined_)
    Fail(absl::StrCat("all pushes are in, and no step is made: ", described_.ShortDebugString()));
  const auto quorum = static_cast<size_t>(std::min(now_.quorum, expected));
  if (ticked && formed_ && IsSmall() && now_.quorum > 0 && complete_at.size() >= quorum &&
      !now_.adaptive_grace) {
    std::sort(complete_at.begin(), complete_at.end());
    if (clock_->Elapsed() - complete_at[quorum - 1] >= now_.grace)
      Fail("the quorum is in, its grace is over, and no step is made");
  }
  if (ticked && clock_->Elapsed() - waited_since_ >= now_.deadline) {
    Fail(absl::StrCat("the deadline is over, and no step is made ",
                      absl::FormatDuration(clock_->Elapsed() - waited_since_), " later"));
  }
}

void RunModel::CheckData(bool idle) {
  const v1::DataProgress& progress = described_.progress().data();
  if (progress.batches() != data_->batches()) Fail("it has another number of batches");
  if (!idle) return;
  if (data_->all_used() != (progress.used_batches() == progress.batches())) {
    Fail(absl::StrCat("it says that ", progress.used_batches(), " batches are used up"));
  }
  const bool finished = now_.state == v1::RUN_STATE_FINISHED;
  if (finished && described_.max_steps() == 0 && !data_->all_used()) {
    Fail("it is finished, and there are batches");
  }
  // What lies in the window is a step before that; not while it stands still.
  if (!finished && data_->all_used() && window_.empty()) {
    Fail("all batches are used up, and it is not finished");
  }
}

void RunModel::CheckNobodyWaits() {
  if (!now_.moves) return;
  for (const auto& [worker, member] : members_) {
    if (!member.pending.has_value()) continue;
    const Push& push = *member.pending;
    if (MayBeGone(push)) continue;
    Fail(absl::StrCat("push ", push.sequence, " of ", worker, " still waits"));
  }
}

}  // namespace gradd
