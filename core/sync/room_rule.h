#ifndef GRADD_CORE_SYNC_ROOM_RULE_H_
#define GRADD_CORE_SYNC_ROOM_RULE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/types/span.h"

namespace gradd {

// What a run has and wants of the room for pushes, as the rule below sees it: a plain value. All
// pushes of a run count with the same size, the largest that one may have.
struct RoomAccount {
  int64_t push_bytes = 0;
  // So many pushes make a step, all of which have to be there at the same time. 0: each push is a
  // step of its own, and needs no other.
  int64_t pushes_a_step = 0;

  int64_t open_pushes = 0;     // That have room and wait for the others of their step.
  int64_t settled_pushes = 0;  // That have room and give it back without needing any more.
  int64_t quiet_pushes = 0;  // Of the settled ones, those that bring nothing: they can be dropped.
  int64_t waiting_pushes = 0;  // That want room.
  // What younger ones were granted since it began to wait, and still have.
  int64_t overtaken_bytes = 0;
  // When the open step, or the push that waits longest, first asked: the smaller, the older.
  int64_t age = 0;

  // Whether its steps can happen. Otherwise all its pushes can be dropped when others need the
  // room.
  bool goes_on = true;
  // Its pushes were dropped, and it would not make good use of room: it gets none.
  bool rests = false;
  // The rule says: it waits only for those that began after it. And whoever has a clock: it has
  // done so for long.
  bool waits_for_younger = false;
  bool impatient = false;

  int64_t held_bytes() const { return (open_pushes + settled_pushes) * push_bytes; }
  // What its open step still needs.
  int64_t missing_bytes() const {
    return pushes_a_step > open_pushes ? (pushes_a_step - open_pushes) * push_bytes : 0;
  }
};

// Whose push gets room next. Every run's step needs the room of several pushes, and it does not ask
// for all of it at once; so two runs could each hold half of what both need, and wait for each
// other for ever. The rule that prevents it is the banker's algorithm (Dijkstra, EWD 123, 1965):
// room is given only if afterwards there is still an order in which all open steps that go on can
// get what they need, each from what is free and what those before it give back.
//
// Whose turn it is:
// - The oldest open step first, and within the rule nobody waits for others: a small push does not
//   queue behind a large one for which there is no room.
// - Who has begun a step may complete it. Who has not may overtake an older one that waits only as
//   far as that costs it nothing: it waits for still older ones, or there is room beside it for all
//   that have overtaken it. So nobody starves, however many small steps there are.
// - A little is there for small pushes only, so that no step takes all the room from them.
// - Who has waited for long for younger ones takes their room.
// - Runs that do not go on get what nobody else wants, and lose it when somebody does who goes on.
//   Among themselves, whoever has room keeps it, and the others' pushes wait: to drop some for
//   those of another one brings no step nearer. Nor does that keep anybody from going on, since
//   what they wait for (a resume, the last worker that joins, the end of a lease) needs no room;
//   then they take what the others have.
//
// Pure: no lock, no clock, no memory. Thread safe.
class RoomRule {
 public:
  // Pushes may take `capacity` bytes in all, and small ones `beside` more. The accounts outlive the
  // rule.
  RoomRule(absl::Span<RoomAccount* const> accounts, int64_t capacity, int64_t beside);

  // Whether the run's pushes may have what is there for small ones: there is room for some such
  // steps.
  bool IsSmall(const RoomAccount& account) const;

  // Has `grant` take the room for one push of an account, as often as the rule allows; it updates
  // the account, or returns false where the memory is not to be had after all. Each account is
  // given by its index. Whoever has to drop pushes so that the others can go on is returned.
  std::vector<size_t> Apply(const std::function<bool(size_t)>& grant);

  // Whether all open steps that go on can complete, one after the other.
  bool IsSafe() const;

 private:
  // What an open step has, and still needs.
  struct Open {
    int64_t missing;
    int64_t held;
  };

  // With what is there for small pushes only; those that are not small have to leave that.
  int64_t Free() const;
  int64_t Leaves(const RoomAccount& account) const { return IsSmall(account) ? 0 : beside_; }
  // What comes back without anything being granted: of pushes that need no others, and of those
  // that can be dropped.
  int64_t Returns() const;
  static bool CanComplete(std::vector<Open> open, int64_t work);
  // The open steps that go on; of those that are not older than `age` only `and_this`, with one
  // push more.
  std::vector<Open> OpenSteps(int64_t before_age, const RoomAccount* and_this) const;
  // Whether the rule allows this account one push more.
  bool MayHave(const RoomAccount& account) const;
  // Whether `waiting` could have its push, and all older steps can complete, if all who are younger
  // had given back what they have, but for `taken` bytes.
  bool CouldHave(const RoomAccount& waiting, int64_t taken) const;
  // The oldest open step that goes on; null if there is none.
  const RoomAccount* OldestOpen() const;
  // Grants in the order of age. Returns who still waits and goes on, the oldest first.
  std::vector<size_t> GrantInOrder(const std::vector<size_t>& order,
                                   const std::function<bool(size_t)>& grant);
  // Who has to drop pushes for those that are blocked.
  std::vector<size_t> Victims(const std::vector<size_t>& order,
                              const std::vector<size_t>& blocked) const;
  // The youngest open step that goes on, in that order, younger than `age`; null: none.
  std::optional<size_t> YoungestOpen(const std::vector<size_t>& order, int64_t age) const;

  const absl::Span<RoomAccount* const> accounts_;
  const int64_t capacity_;
  const int64_t beside_;
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_ROOM_RULE_H_
