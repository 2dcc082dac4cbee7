#include "core/run/spec_difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/specs.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SpecDifferenceTest, FieldsAreNamedAsFarBelowAsTheirMessagesAreTheSame) {
  v1::Run a = SynchronousSpec(2, 1);
  a.mutable_optimizer()->mutable_adam()->set_beta1(0.9);
  EXPECT_THAT(DifferentFields(a, a), IsEmpty());
  v1::Run b = a;
  b.mutable_optimizer()->mutable_adam()->set_beta1(0.8);
  b.mutable_schedule()->set_learning_rate(7);
  b.set_max_steps(5);
  (*b.mutable_labels())["x"] = "y";
  b.mutable_lease_duration()->set_seconds(77);
  b.add_groups()->set_pattern("w");
  EXPECT_THAT(DifferentFields(a, b),
              ElementsAre("optimizer.adam.beta1", "schedule.learning_rate", "max_steps", "groups",
                          "lease_duration", "labels"));
  b = a;
  b.mutable_optimizer()->mutable_sgd();
  b.mutable_policy()->mutable_asynchronous();
  EXPECT_THAT(DifferentFields(a, b), ElementsAre("optimizer", "policy"));
  // What a client does not set, and the layout, does not count.
  b = a;
  b.mutable_layout()->add_tensors();
  b.set_uid("u");
  b.mutable_progress()->set_step(3);
  EXPECT_THAT(DifferentFields(a, b), IsEmpty());
}

TEST(SpecDifferenceTest, WhatWasNotAskedForIsMet) {
  v1::Run wanted;
  wanted.mutable_layout()->add_tensors()->set_name("w");
  wanted.mutable_optimizer()->mutable_adam();
  (*wanted.mutable_labels())["a"] = "1";
  v1::Run found = wanted;
  found.mutable_optimizer()->mutable_adam()->set_beta1(0.9);
  found.mutable_schedule()->set_learning_rate(1);
  found.set_seed(9);
  (*found.mutable_labels())["b"] = "2";
  EXPECT_THAT(UnmetFields(wanted, found), IsEmpty());
  wanted.mutable_optimizer()->mutable_adam()->set_beta1(0.5);
  wanted.set_seed(8);
  (*wanted.mutable_labels())["b"] = "3";
  wanted.mutable_layout()->mutable_tensors(0)->add_shape(2);
  EXPECT_THAT(UnmetFields(wanted, found),
              ElementsAre("layout.tensors", "optimizer.adam.beta1", "seed", "labels"));
  EXPECT_THAT(UnmetFields(wanted, v1::Run()), ElementsAre("layout", "optimizer", "seed", "labels"));
}

}  // namespace
}  // namespace gradd
