// The workers of a run, as they outlive the server.

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "core/members/membership.h"

namespace gradd {
namespace {

absl::Status CheckMember(const state::v1::MemberState& state) {
  const auto invalid = [&](absl::string_view what) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("member \"", state.worker(), "\": ", what));
  };
  if (state.worker().empty()) return invalid("it has no id");
  if (state.gone() != v1::WORKER_STATE_UNSPECIFIED && state.gone() != v1::WORKER_STATE_LEFT &&
      state.gone() != v1::WORKER_STATE_EXPIRED) {
    return invalid(absl::StrCat("it is gone as ", static_cast<int>(state.gone()),
                                ", LEFT or EXPIRED expected"));
  }
  if (!v1::PushOutcome_IsValid(state.outcome())) {
    return invalid(absl::StrCat("its last push became ", static_cast<int>(state.outcome()),
                                ", which is no PushOutcome"));
  }
  for (const int64_t count :
       {state.sequence(), state.step(), state.last_base_step(), state.in_window(), state.missed(),
        state.applied_pushes(), state.rejected_pushes(), state.clock()}) {
    if (count < 0) return invalid(absl::StrCat(count, " is negative"));
  }
  return absl::OkStatus();
}

}  // namespace

void Membership::Write(state::v1::MembersState* state) const {
  state->Clear();
  state->set_formed(formed_);
  for (const auto& [worker, member] : members_) {
    state::v1::MemberState& written = *state->add_members();
    written.set_worker(worker);
    if (!member.live()) written.set_gone(member.state);
    written.set_sequence(member.ledger.sequence);
    written.set_outcome(member.ledger.outcome);
    written.set_step(member.ledger.step);
    written.set_timeline(member.ledger.timeline);
    written.set_last_base_step(member.last_base_step);
    written.set_in_window(member.in_window);
    written.set_missed(member.missed);
    written.set_clock(member.clock);
    written.set_applied_pushes(member.applied_pushes);
    written.set_rejected_pushes(member.rejected_pushes);
    written.set_address(member.address);
  }
  for (const Departure& departure : departures_.all()) {
    state::v1::DepartureState& written = *state->add_departures();
    written.set_worker(departure.worker);
    written.set_said_so(departure.said_so);
    written.set_unread(departure.unread);
    *written.mutable_time() = ToProto(absl::UnixEpoch() + departure.at);
  }
}

absl::Status Membership::Read(const state::v1::MembersState& state, absl::Duration now) {
  members_.clear();
  live_.clear();
  in_window_.clear();
  departures_ = {};
  for (const state::v1::MemberState& read : state.members()) {
    GRADD_RETURN_IF_ERROR(CheckMember(read));
    const auto [at, is_new] = members_.try_emplace(read.worker());
    if (!is_new) {
      return InvalidArgument("STATE_INVALID",
                             absl::StrCat("member \"", read.worker(), "\": it is there twice"));
    }
    Member& member = at->second;
    const bool live = read.gone() == v1::WORKER_STATE_UNSPECIFIED;
    member.state = live ? v1::WORKER_STATE_DISCONNECTED : read.gone();
    member.ledger = member.told = {read.sequence(), read.outcome(), read.step(), read.timeline()};
    member.last_base_step = read.last_base_step();
    member.in_window = read.in_window();
    member.missed = read.missed();
    member.last_sign = now;
    member.clock = read.clock();
    member.applied_pushes = read.applied_pushes();
    member.rejected_pushes = read.rejected_pushes();
    member.address = read.address();
    if (live) live_[read.worker()] = &member;
    if (member.in_window > 0) in_window_.push_back(&member);
  }
  for (auto gone = state.departures().rbegin(); gone != state.departures().rend(); ++gone) {
    const absl::Duration at =
        absl::Seconds(gone->time().seconds()) + absl::Nanoseconds(gone->time().nanos());
    departures_.Add({gone->worker(), gone->said_so(), at, gone->unread()});
  }
  formed_ = state.formed();
  FindSlowest();
  Recount();
  return absl::OkStatus();
}

void Membership::GoOn(absl::Duration now) {
  for (auto& [worker, member] : members_) {
    if (member.live()) member.state = v1::WORKER_STATE_DISCONNECTED;
    member.told = member.ledger;
    member.last_sign = now;
  }
}

}  // namespace gradd
