#include "core/members/membership.h"

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace gradd {

void Membership::Configure(int64_t window, int64_t forgives) {
  window_ = window;
  forgives_ = forgives;
  Recount();
}

void Membership::Recount() {
  expected_ = complete_ = 0;
  for (const auto& [worker, member] : live_) Count(*member, 1);
}

Member* Membership::Find(const std::string& worker) {
  const auto found = members_.find(worker);
  return found == members_.end() ? nullptr : &found->second;
}

const Member* Membership::Find(const std::string& worker) const {
  const auto found = members_.find(worker);
  return found == members_.end() ? nullptr : &found->second;
}

Member& Membership::Join(const std::string& worker) {
  departures_.Forget(worker);
  Member& member = members_[worker];
  if (live_.find(worker) != live_.end()) {
    Count(member, -1);
  } else {
    if (live_.empty()) slowest_ = member.clock;
    member.clock = slowest_;
    ++at_slowest_;
    live_[worker] = &member;
  }
  member.state =
      member.pending_sequence != 0 ? v1::WORKER_STATE_WAITING : v1::WORKER_STATE_COMPUTING;
  Count(member, 1);
  GRADD_DCHECK(CountsAreRight(), absl::StrCat(expected_, " expected, ", complete_, " complete"));
  return member;
}

void Membership::Retire(const std::string& worker, v1::WorkerState state, absl::Duration now,
                        bool unread) {
  Member& member = *live_.at(worker);
  Count(member, -1);
  member.state = state;
  member.missed = 0;
  live_.erase(worker);
  if (member.clock == slowest_ && --at_slowest_ == 0) FindSlowest();
  departures_.Add({worker, state == v1::WORKER_STATE_LEFT, now, unread});
  GRADD_DCHECK(CountsAreRight(), absl::StrCat(expected_, " expected, ", complete_, " complete"));
  if (live_.empty()) formed_ = false;
}

void Membership::PushWaits(Member* member, int64_t sequence) {
  Count(*member, -1);
  member->pending_sequence = sequence;
  if (member->live()) member->state = v1::WORKER_STATE_WAITING;
  Count(*member, 1);
}

void Membership::Expect(Member* member) {
  Count(*member, -1);
  member->missed = 0;
  Count(*member, 1);
}

void Membership::PushGone(Member* member) {
  Count(*member, -1);
  member->pending_sequence = 0;
  Count(*member, 1);
}

void Membership::PushTaken(Member* member) {
  const bool was_slowest = member->live() && member->clock == slowest_;
  ++member->clock;
  if (was_slowest && --at_slowest_ == 0) FindSlowest();
}

void Membership::StartTogether() {
  for (const auto& [worker, member] : live_) member->clock = slowest_;
  at_slowest_ = live_count();
}

void Membership::FindSlowest() {
  at_slowest_ = 0;
  for (const auto& [worker, member] : live_) {
    if (at_slowest_ == 0 || member->clock < slowest_) {
      slowest_ = member->clock;
      at_slowest_ = 0;
    }
    if (member->clock == slowest_) ++at_slowest_;
  }
}

void Membership::PushFolded(Member* member) {
  Count(*member, -1);
  if (++member->in_window == 1) in_window_.push_back(member);
  Count(*member, 1);
}

std::vector<std::string> Membership::Missing() const {
  std::vector<std::string> missing;
  for (const auto& [worker, member] : live_) {
    if (IsExpected(*member) && !IsComplete(*member)) missing.push_back(worker);
  }
  return missing;
}

void Membership::Count(const Member& member, int64_t sign) {
  if (!IsExpected(member)) return;
  expected_ += sign;
  if (IsComplete(member)) complete_ += sign;
}

bool Membership::CountsAreRight() const {
  int64_t expected = 0;
  int64_t complete = 0;
  for (const auto& [worker, member] : members_) {
    if (!IsExpected(member)) continue;
    ++expected;
    if (IsComplete(member)) ++complete;
  }
  return expected == expected_ && complete == complete_;
}

}  // namespace gradd
