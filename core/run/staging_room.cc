#include "core/run/staging_room.h"

#include <algorithm>

namespace gradd {

StagingRoom::Claim StagingRoom::Take(const std::string& worker, int64_t step, int64_t pushes_a_step,
                                     std::function<void()> on_granted) {
  account_->SetPushesAStep(pushes_a_step);
  return account_->Take(worker, step, std::move(on_granted));
}

void StagingRoom::Judge(const Standing& standing, absl::Duration now) {
  if (!standing.stopped.empty()) {
    goes_on_ = false;
    cannot_since_.reset();
    why_ = standing.stopped;
    account_->SetStanding(false, rests_, 0, why_);
    return;
  }
  if (standing.step_can_come) {
    cannot_since_.reset();
  } else if (!cannot_since_.has_value()) {
    cannot_since_ = now;
  }
  const absl::Duration since =
      std::min(cannot_since_.value_or(absl::InfiniteDuration()), standing.quiet_since);
  const absl::Duration patience = PatienceAfter(drops_);
  if (rests_ && standing.step_can_come && now - since < kPatience) {
    rests_ = false;  // What it waited for has come.
  } else if (rests_ && now - dropped_at_ >= patience) {
    rests_ = false;
    tries_since_ = now;
  }
  goes_on_ = !rests_ && now - std::max(since, tries_since_) < patience;
  why_ = goes_on_ ? "" : "stands still";
  account_->SetStanding(goes_on_, rests_, standing.quiet_pushes, why_);
}

void StagingRoom::Dropped(absl::Duration now) {
  if (!goes_on_ && !rests_) {
    rests_ = true;
    dropped_at_ = now;
    ++drops_;
  }
  account_->Dropped(rests_);
}

}  // namespace gradd
