#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/members/membership.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kNow = absl::Seconds(100);

std::string Written(const Membership& members) {
  state::v1::MembersState state;
  members.Write(&state);
  return state.SerializeAsString();
}

state::v1::MembersState OneMember() {
  state::v1::MembersState state;
  state.add_members()->set_worker("a");
  return state;
}

TEST(MembershipStateTest, WhatIsReadBackIsWrittenAgain) {
  Membership members;
  members.Configure(/*window=*/2, /*forgives=*/3);
  for (const char* const worker : {"a", "b", "c", "d"}) {
    members.Join(worker).address = std::string("host-") + worker;
  }
  members.FormWith(4);
  members.Find("a")->ledger = {7, v1::PUSH_OUTCOME_APPLIED, 4};
  members.Find("a")->last_base_step = 3;
  members.Find("a")->applied_pushes = 6;
  members.Find("a")->rejected_pushes = 1;
  members.StepMade(std::vector<std::string>{"b"});
  members.PushFolded(members.Find("a"));
  members.PushWaits(members.Find("b"), 9);
  members.Retire("c", v1::WORKER_STATE_LEFT, absl::Seconds(3), /*unread=*/false);
  members.Retire("d", v1::WORKER_STATE_EXPIRED, absl::Seconds(5), /*unread=*/true);

  state::v1::MembersState state;
  members.Write(&state);
  Membership read;
  ASSERT_TRUE(read.Read(state, kNow).ok());
  EXPECT_EQ(Written(read), Written(members));

  read.Configure(/*window=*/2, /*forgives=*/3);
  EXPECT_TRUE(read.formed());
  EXPECT_EQ(read.expected(), 2);
  EXPECT_THAT(read.Missing(), ElementsAre("a", "b"));
  EXPECT_EQ(read.Find("a")->state, v1::WORKER_STATE_DISCONNECTED);
  EXPECT_EQ(read.Find("a")->last_sign, kNow);
  EXPECT_EQ(read.Find("b")->pending_sequence, 0) << "a push that waits is not kept";
  EXPECT_EQ(read.Find("c")->state, v1::WORKER_STATE_LEFT);
  EXPECT_EQ(read.departures().all().front().at, absl::Seconds(5));

  // And it goes on as the first one does.
  for (Membership* const each : {&members, &read}) {
    each->StepMade(std::vector<std::string>{"b"});
    each->Join("c");
  }
  EXPECT_EQ(Written(read), Written(members));
  EXPECT_EQ(read.Find("a")->in_window, 0);
  EXPECT_EQ(read.Find("b")->missed, 2);
}

TEST(MembershipStateTest, WhatNoMemberHasIsRefusedByName) {
  struct Case {
    const char* what;
    void (*change)(state::v1::MembersState*);
  };
  const Case cases[] = {
      {"it has no id", [](auto* state) { state->mutable_members(0)->clear_worker(); }},
      {"it is there twice", [](auto* state) { state->add_members()->set_worker("a"); }},
      {"-1 is negative", [](auto* state) { state->mutable_members(0)->set_sequence(-1); }},
      {"-2 is negative", [](auto* state) { state->mutable_members(0)->set_in_window(-2); }},
      {"LEFT or EXPIRED expected",
       [](auto* state) { state->mutable_members(0)->set_gone(v1::WORKER_STATE_WAITING); }},
      {"no PushOutcome",
       [](auto* state) {
         state->mutable_members(0)->set_outcome(static_cast<v1::PushOutcome>(99));
       }},
  };
  for (const Case& each : cases) {
    state::v1::MembersState state = OneMember();
    each.change(&state);
    const absl::Status status = Membership().Read(state, kNow);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << each.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(each.what));
  }
  EXPECT_TRUE(Membership().Read(OneMember(), kNow).ok());
}

}  // namespace
}  // namespace gradd
