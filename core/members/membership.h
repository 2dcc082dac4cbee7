#ifndef GRADD_CORE_MEMBERS_MEMBERSHIP_H_
#define GRADD_CORE_MEMBERS_MEMBERSHIP_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/members/departures.h"
#include "core/members/member.h"
#include "gradd/state/v1/members.pb.h"
#include "gradd/v1/run.pb.h"

namespace gradd {

// The workers of a run: who is live, whom a step waits for, and what of everybody's pushes was
// answered. Ids that were seen stay, for their ledger, and cost nothing else.
//
// What changes the counts goes through the methods here; the rest of a Member may be set by whoever
// has it. Pointers to members stay valid. Not thread safe.
class Membership {
 public:
  Membership() = default;
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  // How pushes make a step: `window` >= 1 of each, and after `forgives` steps in a row that
  // were made without a worker, steps no longer wait for it; 0: they always do.
  void Configure(int64_t window, int64_t forgives);

  // Null if it has never joined.
  Member* Find(const std::string& worker);
  const Member* Find(const std::string& worker) const;

  // A worker is live from now on, and if it was not, its clock is that of the slowest one. The run
  // is formed once `starts_with` are live at the same time; it never is where that is 0.
  Member& Join(const std::string& worker);
  void FormWith(int64_t starts_with) {
    formed_ = formed_ || (starts_with > 0 && live_count() >= starts_with);
  }
  // No longer live, but in `state`. When the last one goes, the run is not formed any more.
  void Retire(const std::string& worker, v1::WorkerState state, absl::Duration now, bool unread);

  // A complete push of the member waits.
  void PushWaits(Member* member, int64_t sequence);
  // Steps wait for it again, however many it has missed.
  void Expect(Member* member);
  // It waits no longer, whatever became of it.
  void PushGone(Member* member);
  // One became part of a step or of the window: its clock advances.
  void PushTaken(Member* member);
  // A live member could do nothing for some time: it goes on where the slowest live one is of those
  // who `could`, if that is farther.
  template <typename Could>
  void CatchUp(const std::string& worker, const Could& could) {
    std::optional<int64_t> slowest;
    for (const auto& [other, member] : live_) {
      if (could(other)) slowest = std::min(slowest.value_or(member->clock), member->clock);
    }
    const auto found = live_.find(worker);
    if (found == live_.end() || !slowest.has_value()) return;
    found->second->clock = std::max(found->second->clock, *slowest);
    FindSlowest();
  }
  // All live members begin anew where the slowest one is.
  void StartTogether();
  // One became part of the window. If it waited, that is over with PushGone() only.
  void PushFolded(Member* member);
  // A step was made: the next one begins with nothing of anybody. It was made at its deadline,
  // without those who are `missing`; if nobody is, deadlines that were missed before are none in a
  // row.
  template <typename Workers>
  void StepMade(const Workers& missing) {
    if (missing.empty()) {
      for (const auto& [worker, member] : live_) {
        if (IsExpected(*member)) member->missed = 0;
      }
    }
    for (const std::string& worker : missing) {
      if (Member* const member = Find(worker); member != nullptr && member->live()) {
        ++member->missed;
      }
    }
    for (Member* const member : in_window_) member->in_window = 0;
    in_window_.clear();
    Recount();
  }

  // By worker id: the order in which gradients are summed. Of those who are live, and of all.
  const std::map<std::string, Member*>& live() const { return live_; }
  const std::map<std::string, Member>& all() const { return members_; }
  int64_t live_count() const { return static_cast<int64_t>(live_.size()); }

  // All workers that the run starts with have been live at the same time, and not all have gone.
  bool formed() const { return formed_; }
  // Live members that steps wait for, and those of them all of whose pushes for the next step are
  // in.
  int64_t expected() const { return expected_; }
  int64_t complete() const { return complete_; }
  bool IsExpected(const Member& member) const {
    return member.live() && (forgives_ == 0 || member.missed < forgives_);
  }
  bool IsComplete(const Member& member) const {
    return member.in_window + (member.pending_sequence != 0 ? 1 : 0) >= window_;
  }
  // The clock of the slowest live member.
  int64_t slowest() const { return slowest_; }
  // How far a live member is ahead of that one.
  int64_t Ahead(const Member& member) const { return member.clock - slowest_; }
  // The same when one more push of it will have been taken.
  int64_t AheadWithNext(const Member& member) const {
    const bool all_move = member.clock == slowest_ && at_slowest_ == 1;
    return Ahead(member) + (all_move ? 0 : 1);
  }
  // Who is expected and not complete, in the order of their ids.
  std::vector<std::string> Missing() const;

  // The last ones that went, the newest first.
  const Departures& departures() const { return departures_; }

  // What outlives the server: not how workers are connected, nor which of their pushes wait.
  void Write(state::v1::MembersState* state) const;
  // Goes on from what Write() has given, with nobody connected and no push that waits; to be
  // followed by Configure(). Live members have given their last sign of life at `now`.
  // INVALID_ARGUMENT names the worker and what of it no member has; this one is of no use then.
  absl::Status Read(const state::v1::MembersState& state, absl::Duration now);
  // The same for the members as they are, after events that happened once more: their workers know
  // what is in the ledger, or will.
  void GoOn(absl::Duration now);

 private:
  void Recount();
  void FindSlowest();
  // Adds what the member is to the counts, or takes it away with -1.
  void Count(const Member& member, int64_t sign);
  // Whether the counts are what a look at all members gives. For checks.
  bool CountsAreRight() const;

  int64_t window_ = 1;
  int64_t forgives_ = 0;
  std::map<std::string, Member> members_;
  std::map<std::string, Member*> live_;
  std::vector<Member*> in_window_;  // Who has given something to it; they need not be live.
  Departures departures_;
  bool formed_ = false;
  int64_t expected_ = 0;
  int64_t complete_ = 0;
  int64_t slowest_ = 0;
  int64_t at_slowest_ = 0;  // So many live members.
};

}  // namespace gradd

#endif  // GRADD_CORE_MEMBERS_MEMBERSHIP_H_
