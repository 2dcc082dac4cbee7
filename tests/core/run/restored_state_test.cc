#include "core/run/restored_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/run/forked_state.h"
#include "core/run/run_past.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

state::v1::MemberState MemberOf(const std::string& worker, int64_t sequence, int64_t clock) {
  state::v1::MemberState member;
  member.set_worker(worker);
  member.set_sequence(sequence);
  member.set_clock(clock);
  return member;
}

state::v1::RunState StateAt(int64_t events, uint64_t timeline, int64_t step) {
  state::v1::RunState state;
  state.set_events(events);
  state.set_timeline(timeline);
  state.set_step(step);
  state.set_uid("u");
  state.set_state(v1::RUN_STATE_RUNNING);
  state.mutable_spec()->set_name("runs/r");
  state.mutable_spec()->mutable_optimizer()->mutable_sgd();
  return state;
}

TEST(RestoredStateTest, MembersAreThoseOfNowWithTheLedgerOfThen) {
  state::v1::RunState then = StateAt(10, 1, 3);
  *then.mutable_members()->add_members() = MemberOf("a", 3, 7);
  *then.mutable_members()->add_members() = MemberOf("b", 2, 5);
  *then.mutable_members()->add_members() = MemberOf("z", 4, 9);  // Of another past.
  then.mutable_members()->add_blobs()->set_data("of then");
  state::v1::RunState now = StateAt(20, 1, 5);
  now.mutable_members()->add_blobs()->set_data("of now");
  now.mutable_members()->set_formed(true);
  *now.mutable_members()->add_members() = MemberOf("a", 5, 9);
  *now.mutable_members()->add_members() = MemberOf("b", 4, 8);
  now.mutable_members()->mutable_members(1)->set_gone(v1::WORKER_STATE_LEFT);
  *now.mutable_members()->add_members() = MemberOf("c", 1, 8);
  const state::v1::RunState state =
      RestoreState(now, then, "ada", "", /*by_guard=*/false, absl::UnixEpoch()).state;
  std::vector<std::string> members;
  for (const state::v1::MemberState& member : state.members().members()) {
    members.push_back(absl::StrCat(member.worker(), " ", member.sequence(), " ", member.clock(),
                                   member.gone() == v1::WORKER_STATE_UNSPECIFIED ? "" : " gone"));
  }
  EXPECT_THAT(members, ElementsAre("a 3 7", "b 2 5 gone", "c 0 5", "z 4 9 gone"));
  EXPECT_TRUE(state.members().formed());
  ASSERT_EQ(state.members().blobs_size(), 1);
  EXPECT_EQ(state.members().blobs(0).data(), "of then");
}

TEST(RestoredStateTest, ItCountsOnAndRemembersTheLastRequests) {
  const state::v1::RunState then = StateAt(10, 1, 3);
  state::v1::RunState now = StateAt(20, 4, 9);
  now.set_state(v1::RUN_STATE_FINISHED);
  now.mutable_spec()->mutable_schedule()->set_learning_rate(2);
  now.mutable_spec()->set_journal(true);
  for (int i = 0; i < 16; ++i) now.add_restores()->set_request_id(absl::StrCat(i));
  now.add_history()->set_field("x");
  const RestoredState restored =
      RestoreState(now, then, "ada", "new", /*by_guard=*/false, absl::UnixEpoch());
  EXPECT_EQ(restored.state.events(), 21);
  EXPECT_EQ(restored.state.timeline(), 5U);
  EXPECT_EQ(restored.state.step(), 3);
  EXPECT_TRUE(restored.state.spec().journal()) << "it stays as it is";
  ASSERT_EQ(restored.state.restores_size(), 16);
  EXPECT_EQ(restored.state.restores(0).request_id(), "1");
  EXPECT_EQ(restored.state.restores(15).request_id(), "new");
  EXPECT_EQ(restored.state.restores(15).answer().DebugString(), restored.answer.DebugString());
  std::vector<std::string> changes;
  for (const v1::Change& change : restored.answer.changes()) {
    changes.push_back(
        absl::StrCat(change.field(), " ", change.old_value(), " ", change.new_value()));
  }
  EXPECT_THAT(changes, ElementsAre("schedule {\"learning_rate\":2} ",
                                   "state \"RUN_STATE_FINISHED\" \"RUN_STATE_RUNNING\""));
  EXPECT_EQ(restored.state.history_size(), 5);
  EXPECT_EQ(restored.state.history(1).field(), "step");
}

TEST(RestoredStateTest, ThePastIsThatOfTheCheckpoint) {
  state::v1::RunState then = StateAt(10, 2, 30);
  RunPast past;
  past.Begin(2, 20);
  past.Write(then.mutable_past());
  state::v1::RunState now = StateAt(20, 3, 50);
  const state::v1::RunState state =
      RestoreState(now, then, "", "", /*by_guard=*/false, absl::UnixEpoch()).state;
  ASSERT_TRUE(past.Read(state.past()).ok());
  EXPECT_TRUE(past.Has(1, 20));
  EXPECT_FALSE(past.Has(1, 21));
  EXPECT_FALSE(past.Has(2, 19));
  EXPECT_TRUE(past.Has(2, 30));
  EXPECT_FALSE(past.Has(2, 31));
  EXPECT_FALSE(past.Has(3, 30)) << "it was given up";
  EXPECT_TRUE(past.Has(4, 30));
  EXPECT_TRUE(past.Has(4, 1000));
  state::v1::RunState wrong;
  wrong.add_past()->set_timeline(3);
  wrong.add_past()->set_timeline(3);
  EXPECT_FALSE(past.Read(wrong.past()).ok());
}

TEST(ForkedStateTest, ItHasNothingOfTheOriginButWhatItsStepsDependOn) {
  state::v1::RunState origin = StateAt(10, 2, 30);
  *origin.mutable_members()->add_members() = MemberOf("a", 3, 7);
  origin.set_state(v1::RUN_STATE_PAUSED);
  origin.add_past()->set_timeline(2);
  origin.add_restores()->set_request_id("x");
  origin.mutable_data()->add_unused()->set_count(5);
  origin.mutable_data()->add_held()->set_worker("a");
  origin.mutable_plateau()->set_factor(0.5);
  NewIdentity identity;
  identity.run_id = "f";
  identity.uid = "v";
  identity.author = "ada";
  const state::v1::RunState state = ForkedState(origin, identity);
  EXPECT_EQ(state.spec().name(), "runs/f");
  EXPECT_EQ(state.uid(), "v");
  EXPECT_EQ(state.events(), 1);
  EXPECT_EQ(state.timeline(), 1U);
  EXPECT_EQ(state.step(), 30);
  EXPECT_EQ(state.state(), v1::RUN_STATE_RUNNING);
  EXPECT_EQ(state.plateau().factor(), 0.5);
  EXPECT_THAT(state.members().members(), IsEmpty());
  EXPECT_THAT(state.past(), IsEmpty());
  EXPECT_THAT(state.restores(), IsEmpty());
  EXPECT_THAT(state.data().held(), IsEmpty());
  ASSERT_EQ(state.data().free_size(), 1);
  EXPECT_EQ(state.data().free(0).count(), 5);
}

// A guard takes a run back to before its loss left, whatever people had done to it then.
TEST(RestoredStateTest, WhatAGuardTakesBackGoesOnForAsLongAsItWasTo) {
  for (const v1::RunState then_it_was :
       {v1::RUN_STATE_RUNNING, v1::RUN_STATE_PAUSED, v1::RUN_STATE_FINISHED}) {
    state::v1::RunState then = StateAt(10, 1, 3);
    then.set_state(then_it_was);
    then.mutable_spec()->set_max_steps(3);
    state::v1::RunState now = StateAt(20, 1, 9);
    now.set_state(v1::RUN_STATE_PAUSED);
    now.set_guarded_since_step(7);
    now.set_awaits_rollback(true);
    now.mutable_spec()->set_max_steps(100);
    const state::v1::RunState state =
        RestoreState(now, then, "guard", "", /*by_guard=*/true, absl::UnixEpoch()).state;
    EXPECT_EQ(state.state(), v1::RUN_STATE_RUNNING);
    EXPECT_EQ(state.spec().max_steps(), 100);
    EXPECT_EQ(state.guard_rollbacks(), 1);
    EXPECT_FALSE(state.has_guarded_since_step()) << "it may leave at the same step again";
    EXPECT_FALSE(state.awaits_rollback());
  }
}

}  // namespace
}  // namespace gradd
