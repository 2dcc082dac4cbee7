#include "core/sync/room_rule.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gradd {
namespace {

// Of pushes of size 1 unless it is said otherwise.
RoomAccount Step(int64_t age, int64_t pushes, int64_t open, int64_t waiting, int64_t size = 1) {
  RoomAccount account;
  account.age = age;
  account.push_bytes = size;
  account.pushes_a_step = pushes;
  account.open_pushes = open;
  account.waiting_pushes = waiting;
  return account;
}
RoomAccount Single(int64_t age, int64_t settled, int64_t waiting, int64_t size = 1) {
  RoomAccount account = Step(age, 0, 0, waiting, size);
  account.settled_pushes = settled;
  return account;
}
RoomAccount Stopped(RoomAccount account) {
  account.goes_on = false;
  return account;
}

struct Outcome {
  std::vector<int64_t> granted;
  std::vector<size_t> victims;
};

Outcome Apply(std::vector<RoomAccount> accounts, int64_t capacity, int64_t beside) {
  Outcome outcome;
  outcome.granted.resize(accounts.size());
  std::vector<RoomAccount*> pointers;
  for (RoomAccount& account : accounts) pointers.push_back(&account);
  outcome.victims = RoomRule(pointers, capacity, beside).Apply([&](size_t i) {
    RoomAccount& account = accounts[i];
    --account.waiting_pushes;
    ++(account.pushes_a_step > 0 ? account.open_pushes : account.settled_pushes);
    ++outcome.granted[i];
    return true;
  });
  return outcome;
}

struct Row {
  std::string what;
  int64_t capacity;
  std::vector<RoomAccount> accounts;
  std::vector<int64_t> granted;
  std::vector<size_t> victims;
  int64_t beside = 0;
};

TEST(RoomRuleTest, SaysWhoseTurnItIs) {
  const std::vector<Row> rows = {
      {"what fits is granted", 10, {Step(0, 4, 0, 2), Single(1, 0, 3)}, {2, 3}, {}},
      {"two steps of four with room for six: the younger one waits with two",
       6,
       {Step(0, 4, 3, 0), Step(1, 4, 2, 1)},
       {0, 0},
       {}},
      {"and the older one goes on", 6, {Step(0, 4, 3, 1), Step(1, 4, 2, 1)}, {1, 0}, {}},
      {"whose step is on its way needs nothing more",
       6,
       {Step(0, 4, 0, 0), Step(1, 4, 2, 1), Single(2, 3, 0)},
       {0, 1, 0},
       {}},
      {"a small push does not queue behind a large one for which there is no room",
       100,
       {Step(0, 8, 7, 0, 12), Step(1, 8, 0, 1, 12), Single(2, 0, 1)},
       {0, 0, 1},
       {}},
      {"nor a small step",
       100,
       {Step(0, 8, 7, 0, 12), Step(1, 8, 0, 1, 12), Step(2, 2, 0, 2)},
       {0, 0, 2},
       {}},
      {"but none begins where the large one would fit when small ones have given back what they "
       "have",
       100,
       {Step(0, 1, 0, 1, 100), Single(1, 1, 1)},
       {0, 0},
       {}},
      {"or there is room beside it", 102, {Step(0, 1, 0, 1, 100), Single(1, 3, 1)}, {0, 1}, {}},
      {"for all that have overtaken it",
       102,
       {[] {
          RoomAccount account = Step(0, 1, 0, 1, 100);
          account.overtaken_bytes = 2;
          return account;
        }(),
        Single(1, 3, 1)},
       {0, 0},
       {}},
      {"and who has begun completes", 100, {Step(0, 1, 0, 1, 100), Step(1, 2, 1, 1)}, {0, 1}, {}},
      {"a run that stands still gets what nobody else wants",
       10,
       {Stopped(Step(0, 4, 0, 4)), Single(1, 0, 1)},
       {4, 1},
       {}},
      {"and nothing where somebody waits",
       10,
       {Stopped(Step(0, 4, 0, 1)), Step(1, 1, 0, 1, 10), Single(2, 1, 0)},
       {0, 0, 0},
       {}},
      {"of those that stand still, whoever has room keeps it, the younger one too",
       4,
       {Stopped(Step(0, 4, 1, 3)), Stopped(Step(1, 4, 3, 0))},
       {0, 0},
       {}},
      {"until one of them goes on", 4, {Step(0, 4, 1, 3), Stopped(Step(1, 4, 3, 0))}, {0, 0}, {1}},
      {"it loses what it has, as far as it is needed, the youngest first",
       8,
       {Stopped(Step(0, 4, 3, 0)), Stopped(Step(1, 4, 3, 0)), Step(2, 4, 2, 1)},
       {0, 0, 0},
       {1}},
      {"what is free or comes back anyhow is not taken from it",
       8,
       {Stopped(Step(0, 4, 3, 0)), Single(1, 5, 0), Step(2, 4, 0, 1)},
       {0, 0, 0},
       {}},
      {"quiet pushes of a run that goes on likewise",
       2,
       {[] {
          RoomAccount account = Single(0, 2, 0);
          account.quiet_pushes = 2;
          return account;
        }(),
        Single(1, 0, 1)},
       {0, 0},
       {0}},
      {"who has waited for long for younger ones takes their room",
       8,
       {[] {
          RoomAccount account = Step(0, 1, 0, 1, 8);
          account.impatient = true;
          return account;
        }(),
        Step(1, 3, 2, 0), Single(2, 1, 0), Step(3, 2, 1, 0)},
       {0, 0, 0, 0},
       {3}},
      {"but not while it has to wait for an older one",
       8,
       {Step(0, 2, 1, 0),
        [] {
          RoomAccount account = Step(1, 1, 0, 1, 8);
          account.impatient = true;
          return account;
        }(),
        Step(2, 3, 2, 0)},
       {0, 0, 0},
       {}},
      {"who rests gets nothing",
       8,
       {[] {
         RoomAccount account = Stopped(Step(0, 4, 0, 1));
         account.rests = true;
         return account;
       }()},
       {0},
       {}},
      {"after more workers have joined than there is room for, the younger one begins anew",
       6,
       {Step(0, 5, 3, 1), Step(1, 5, 3, 1)},
       {0, 0},
       {1}},
      {"and the oldest gets what there is", 6, {Step(0, 5, 2, 1), Step(1, 5, 3, 1)}, {1, 0}, {1}},
      {"small ones have a little beside a step that takes all",
       100,
       {Step(0, 2, 2, 0, 50), Step(1, 2, 0, 3), Single(2, 0, 9), Step(3, 3, 0, 3),
        Step(4, 1, 0, 1, 50)},
       {0, 3, 5, 0, 0},
       {},
       8},
      {"and no large one takes that",
       100,
       {Step(0, 2, 1, 1, 50), Step(1, 1, 0, 1, 4)},
       {1, 0},
       {},
       8},
      {"a step for which there is less room than it needs is made all the same",
       3,
       {Step(0, 4, 2, 1)},
       {1},
       {}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    const Outcome outcome = Apply(row.accounts, row.capacity, row.beside);
    EXPECT_EQ(outcome.granted, row.granted);
    EXPECT_EQ(outcome.victims, row.victims);
  }
}

}  // namespace
}  // namespace gradd
