#ifndef GRADD_CORE_RUN_STAGING_ROOM_H_
#define GRADD_CORE_RUN_STAGING_ROOM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "core/sync/push_room.h"

namespace gradd {

// A run's part of the room for pushes, and how long the run may keep what it has there while it
// does not get on:
// - One that is paused, held or finished gives its room back as soon as others need it, and gets
//   none until it goes on.
// - One that runs but stands still (a worker that it needs is not there, or has begun a push and
//   sends nothing of it) gives it back when it has stood still for a while. It then rests for that
//   long, so that others get on, and tries again; the while is twice as long each time, until a
//   step is made. So a run that is only slow gets its step in the end, and its workers do not send
//   the same pushes over and over.
// Pushes that lose their room are dropped, and their workers are told RESEND.
//
// Not thread safe.
class StagingRoom {
 public:
  using Claim = PushRoom::ClaimPtr;

  // How long a run may stand still at first.
  static constexpr absl::Duration kPatience = absl::Seconds(5);
  // At most so many times doubled.
  static constexpr int kMostDoublings = 10;
  static absl::Duration PatienceAfter(int drops) {
    return kPatience * (int64_t{1} << (drops < kMostDoublings ? drops : kMostDoublings));
  }

  // How the run stands.
  struct Standing {
    std::string stopped;        // `is paused`; empty: it runs.
    bool step_can_come = true;  // All workers that its step needs are there.
    // When the worker that the step waits for, and that has begun a push, last sent something of
    // it; infinite: there is none.
    absl::Duration quiet_since = absl::InfiniteDuration();
    // Where each push is a step: how many have been quiet for so long that others may have their
    // room.
    int64_t quiet_pushes = 0;
  };

  // See PushRoom::Open().
  StagingRoom(PushRoom* room, const std::string& run, int64_t push_bytes,
              std::function<void()> drop)
      : account_(room->Open(run, push_bytes, std::move(drop))) {}

  // Room for a push of `step`, which is made of `pushes_a_step` pushes; 0: of each by itself. See
  // PushRoom::Account::Take().
  Claim Take(const std::string& worker, int64_t step, int64_t pushes_a_step,
             std::function<void()> on_granted);
  // To be called when one of these has changed, and now and then. `now` is Clock::Elapsed().
  void Judge(const Standing& standing, absl::Duration now);
  // Whether the run may keep what it has: it goes on, or has not stood still for long.
  bool keeps() const { return goes_on_; }
  // Why it may not: `stands still`.
  const std::string& why() const { return why_; }
  // A step was made.
  void StepMade() { drops_ = 0; }
  // Pushes were dropped, as was asked for: all of them unless keeps().
  void Dropped(absl::Duration now);

  // See PushRoom::Account::Holders().
  std::string Holders() const { return account_->Holders(); }

 private:
  const std::unique_ptr<PushRoom::Account> account_;
  std::string why_;
  bool goes_on_ = true;
  bool rests_ = false;  // Since dropped_at_, and gets no room.
  int drops_ = 0;       // Since the last step.
  absl::Duration dropped_at_;
  absl::Duration tries_since_ = -absl::InfiniteDuration();  // After it has rested.
  std::optional<absl::Duration> cannot_since_;              // No step can come.
};

}  // namespace gradd

#endif  // GRADD_CORE_RUN_STAGING_ROOM_H_
