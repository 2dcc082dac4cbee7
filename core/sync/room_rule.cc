#include "core/sync/room_rule.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace gradd {
namespace {

constexpr int64_t kAnyAge = std::numeric_limits<int64_t>::max();

// A step of several pushes of which some have room.
bool IsOpen(const RoomAccount& account) {
  return account.pushes_a_step > 0 && account.open_pushes > 0;
}

}  // namespace

RoomRule::RoomRule(absl::Span<RoomAccount* const> accounts, int64_t capacity, int64_t beside)
    : accounts_(accounts), capacity_(capacity), beside_(beside) {}

bool RoomRule::IsSmall(const RoomAccount& account) const {
  constexpr int64_t kSteps = 4;
  return std::max<int64_t>(account.pushes_a_step, 1) * account.push_bytes <= beside_ / kSteps;
}

int64_t RoomRule::Free() const {
  int64_t held = 0;
  for (const RoomAccount* const account : accounts_) held += account->held_bytes();
  return capacity_ + beside_ - held;
}

int64_t RoomRule::Returns() const {
  int64_t bytes = 0;
  for (const RoomAccount* const account : accounts_) {
    const bool all = !account->goes_on || !IsOpen(*account);
    bytes += all ? account->held_bytes() : account->settled_pushes * account->push_bytes;
  }
  return bytes;
}

bool RoomRule::CanComplete(std::vector<Open> open, int64_t work) {
  // Who needs least goes first: whoever can complete at all can do so after it.
  std::sort(open.begin(), open.end(),
            [](const Open& a, const Open& b) { return a.missing < b.missing; });
  return std::all_of(open.begin(), open.end(), [&work](const Open& step) {
    if (step.missing > 0 && step.missing > work) return false;
    work += step.held;
    return true;
  });
}

std::vector<RoomRule::Open> RoomRule::OpenSteps(int64_t before_age,
                                                const RoomAccount* and_this) const {
  std::vector<Open> open;
  for (const RoomAccount* const account : accounts_) {
    const bool wanted = account == and_this
                            ? account->pushes_a_step > 0
                            : IsOpen(*account) && account->goes_on && account->age < before_age;
    if (!wanted) continue;
    const int64_t more = account == and_this ? account->push_bytes : 0;
    const int64_t missing = std::max<int64_t>(account->missing_bytes() - more, 0);
    open.push_back({missing == 0 ? 0 : missing + Leaves(*account),
                    account->open_pushes * account->push_bytes + more});
  }
  return open;
}

bool RoomRule::IsSafe() const {
  return CanComplete(OpenSteps(kAnyAge, nullptr), Free() + Returns());
}

const RoomAccount* RoomRule::OldestOpen() const {
  const RoomAccount* oldest = nullptr;
  for (const RoomAccount* const account : accounts_) {
    if (!IsOpen(*account) || !account->goes_on) continue;
    if (oldest == nullptr || account->age < oldest->age) oldest = account;
  }
  return oldest;
}

bool RoomRule::MayHave(const RoomAccount& account) const {
  if (account.rests) return false;
  // That of a push alone comes back, and what a run has that does not go on can be dropped again.
  if (account.pushes_a_step == 0 || !account.goes_on) return true;
  if (CanComplete(OpenSteps(kAnyAge, &account), Free() + Returns() - account.push_bytes)) {
    return true;
  }
  const RoomAccount* const oldest = OldestOpen();
  if (oldest == nullptr) return true;  // There is nobody to wait for.
  // A worker has joined, or there is less memory now, and no order helps any more: nothing is worse
  // if the oldest gets on.
  return oldest == &account && !IsSafe();
}

bool RoomRule::CouldHave(const RoomAccount& waiting, int64_t taken) const {
  int64_t work = Free() + Returns() - waiting.push_bytes - taken;
  for (const RoomAccount* const account : accounts_) {
    const bool younger = account != &waiting && account->age > waiting.age;
    if (younger && IsOpen(*account) && account->goes_on) {
      work += account->open_pushes * account->push_bytes;
    }
  }
  return work >= Leaves(waiting) && CanComplete(OpenSteps(waiting.age, &waiting), work);
}

std::vector<size_t> RoomRule::GrantInOrder(const std::vector<size_t>& order,
                                           const std::function<bool(size_t)>& grant) {
  std::vector<size_t> blocked;
  for (const size_t i : order) {
    RoomAccount& account = *accounts_[i];
    account.waits_for_younger = false;
    if (!account.goes_on && !blocked.empty()) continue;
    const auto delays = [&](size_t other) {
      const RoomAccount& older = *accounts_[other];
      return CouldHave(older, 0) && !CouldHave(older, older.overtaken_bytes + account.push_bytes);
    };
    while (account.waiting_pushes > 0) {
      if (account.push_bytes > Free() - Leaves(account) || !MayHave(account)) break;
      const bool begins = !IsOpen(account);
      if (begins && std::any_of(blocked.begin(), blocked.end(), delays)) break;
      if (!grant(i)) break;
    }
    if (account.waiting_pushes > 0 && account.goes_on && !account.rests) blocked.push_back(i);
  }
  for (const size_t i : blocked) {
    accounts_[i]->waits_for_younger = CouldHave(*accounts_[i], 0);
  }
  return blocked;
}

std::vector<size_t> RoomRule::Victims(const std::vector<size_t>& order,
                                      const std::vector<size_t>& blocked) const {
  std::vector<size_t> victims;
  // What has to be there for those who wait, so far as the rule would let them have it.
  int64_t wanted = 0;
  int64_t left = 0;
  for (const size_t i : blocked) {
    if (!MayHave(*accounts_[i])) continue;
    wanted += accounts_[i]->push_bytes;
    left = std::max(left, Leaves(*accounts_[i]));
  }
  int64_t comes = Free() - left;
  for (const RoomAccount* const account : accounts_) {
    if (account->goes_on) {
      comes += (account->settled_pushes - account->quiet_pushes) * account->push_bytes;
    }
  }
  for (auto next = order.rbegin(); next != order.rend() && comes < wanted; ++next) {
    const RoomAccount& account = *accounts_[*next];
    const int64_t droppable =
        account.goes_on ? account.quiet_pushes * account.push_bytes : account.held_bytes();
    if (droppable == 0) continue;
    comes += droppable;
    victims.push_back(*next);
  }
  std::optional<size_t> youngest;
  for (const size_t i : blocked) {
    const RoomAccount& account = *accounts_[i];
    if (!account.impatient || !account.waits_for_younger || youngest.has_value()) continue;
    youngest = YoungestOpen(order, account.age);
  }
  // No order helps any more: the youngest begins anew.
  if (const RoomAccount* const oldest = OldestOpen();
      !youngest.has_value() && !blocked.empty() && oldest != nullptr && !IsSafe()) {
    youngest = YoungestOpen(order, oldest->age);
  }
  if (youngest.has_value()) victims.push_back(*youngest);
  return victims;
}

std::optional<size_t> RoomRule::YoungestOpen(const std::vector<size_t>& order, int64_t age) const {
  const auto found = std::find_if(order.rbegin(), order.rend(), [&](size_t i) {
    return IsOpen(*accounts_[i]) && accounts_[i]->goes_on && accounts_[i]->age > age;
  });
  return found == order.rend() ? std::nullopt : std::optional(*found);
}

std::vector<size_t> RoomRule::Apply(const std::function<bool(size_t)>& grant) {
  std::vector<size_t> order(accounts_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  // Those that go on first, each by age.
  std::sort(order.begin(), order.end(), [this](size_t a, size_t b) {
    const RoomAccount& left = *accounts_[a];
    const RoomAccount& right = *accounts_[b];
    return left.goes_on != right.goes_on ? left.goes_on : left.age < right.age;
  });
  return Victims(order, GrantInOrder(order, grant));
}

}  // namespace gradd
