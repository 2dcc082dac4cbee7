#include "core/optim/hyper_parameters.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/optim/plan_trainer.h"

namespace gradd {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using testing::HasSubstr;

TEST(HyperParametersTest, WhatIsNotTheSameInFloat32IsRefused) {
  const struct {
    double value;
    Range range;
    const char* message;
  } cases[] = {
      {1e-46, kAboveZeroToOne, "m.f: 1e-46 is below 1.17549e-38, the least above 0 that float32"},
      {1e-40, kAboveZeroToOne, "m.f: 1e-40 is below 1.17549e-38"},
      {1e-46, kZeroToOne, "m.f: 1e-46 is below 1.17549e-38"},
      {-1e-46, kPlusMinusMillion, "m.f: -1e-46 is above -1.17549e-38, the least below 0"},
      {0.999999999, kFromZeroBelowOne,
       "m.f: 0.99999999900000003 is 1 in float32, in which it is used, and that is outside [0, 1)"},
      {1.000000001, kAboveOneUpToMillion, "is 1 in float32, in which it is used"},
      {1.5, kZeroToOne, "m.f: 1.5 is outside [0, 1]"},
      {std::nan(""), kZeroToOne, "m.f: nan is outside [0, 1]"},
  };
  for (const auto& [value, range, message] : cases) {
    HyperParameters read("m");
    read.Get("f", true, value, 0, range);
    EXPECT_THAT(read.status().message(), HasSubstr(message));
  }
  for (const double value : {0.0, 1.2e-38, 0.5, 0.9999999, 1.0}) {
    HyperParameters read("m");
    EXPECT_EQ(read.Get("f", true, value, 7, kZeroToOne), value);
    EXPECT_TRUE(read.status().ok()) << read.status();
  }
}

// A spec in which one number can be set, and where it is.
struct Place {
  std::string name;
  v1::Optimizer optimizer;
  std::vector<const FieldDescriptor*> way;  // Down to the field.
};

void AddPlaces(const v1::Optimizer& optimizer, const std::string& name, const Descriptor& type,
               const std::vector<const FieldDescriptor*>& way, std::vector<Place>* places) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* const field = type.field(i);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_DOUBLE) continue;
    Place place = {absl::StrCat(name, ".", field->name()), optimizer, way};
    place.way.push_back(field);
    places->push_back(std::move(place));
  }
}

// Every number of every optimizer, and of every stage around each of them.
std::vector<Place> Places() {
  const Descriptor& type = *v1::Optimizer::descriptor();
  std::vector<Place> places;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* const kind = type.field(i);
    if (kind->real_containing_oneof() == nullptr) continue;
    v1::Optimizer optimizer;
    optimizer.GetReflection()->MutableMessage(&optimizer, kind);
    AddPlaces(optimizer, kind->name(), *kind->message_type(), {kind}, &places);
    AddPlaces(optimizer, absl::StrCat(kind->name(), " with "), type, {}, &places);
    for (const char* stage : {"look_ahead", "parameter_average"}) {
      const FieldDescriptor* const field = type.FindFieldByName(stage);
      AddPlaces(optimizer, absl::StrCat(kind->name(), " with ", stage), *field->message_type(),
                {field}, &places);
    }
  }
  return places;
}

std::string SpecWith(const Place& place, double value) {
  v1::Optimizer optimizer = place.optimizer;
  Message* message = &optimizer;
  for (const FieldDescriptor* field : place.way) {
    if (field != place.way.back()) {
      message = message->GetReflection()->MutableMessage(message, field);
    } else {
      message->GetReflection()->SetDouble(message, field, value);
    }
  }
  return optimizer.DebugString();
}

bool Accepted(const Layout& layout, const std::string& spec) {
  const absl::Status status = MakePlan(layout, spec, {}, kTileElements).status();
  EXPECT_TRUE(status.ok() || status.code() == absl::StatusCode::kInvalidArgument) << status;
  return status.ok();
}

TEST(HyperParametersTest, NoFieldOfAnyOptimizerOrStageTakesWhatFloat32Loses) {
  const Layout layout = MakeLayout({12, 3});
  const std::vector<Place> places = Places();
  ASSERT_GT(places.size(), 300U);
  for (const Place& place : places) {
    for (const double value : {1e-46, 1e-40, 1.1e-38, -1e-46}) {
      EXPECT_FALSE(Accepted(layout, SpecWith(place, value))) << place.name << " = " << value;
    }
    if (!Accepted(layout, SpecWith(place, 1)) && Accepted(layout, SpecWith(place, 0.99))) {
      EXPECT_FALSE(Accepted(layout, SpecWith(place, 1 - 1e-9))) << place.name;
    }
  }
}

TEST(HyperParametersTest, WhateverIsAcceptedStaysFiniteWithoutAGradientAndWithASmallOne) {
  const Layout layout = MakeLayout({12, 3});
  const Values zeros(15, 0);
  const Values small(15, 1e-3F);
  for (const Place& place : Places()) {
    for (const double value : {0.0, 1.2e-38, 1e-30, 1e-20, 1e-6, 0.5, 1 - 1e-7, 1.0, 100.0, 1e6}) {
      // With such a decay the parameters grow a millionfold in each step, in any precision.
      if (value > 1 && place.way.back()->name() == "weight_decay") continue;
      const std::string spec = SpecWith(place, value);
      if (!Accepted(layout, spec)) continue;
      Trainer trainer(layout, spec, {}, kTileElements, /*threads=*/1);
      for (const Values* gradient : {&zeros, &small, &zeros, &small}) {
        trainer.Step(*gradient, /*learning_rate=*/1, /*loss=*/1);
      }
      for (const float p : trainer.parameters()) {
        ASSERT_TRUE(std::isfinite(p)) << place.name << " = " << value;
      }
    }
  }
}

TEST(HyperParametersTest, GroupsHaveTheSameRanges) {
  const Layout layout = MakeLayout({12, 3});
  for (const char* field : {"learning_rate_factor", "weight_decay"}) {
    const auto status = [&](const char* value) {
      const std::string group = absl::StrCat("pattern: 'a' ", field, ": ", value);
      return MakePlan(layout, "adam {}", {group}, kTileElements).status();
    };
    EXPECT_THAT(status("1e-46").message(), HasSubstr(absl::StrCat(field, ": 1e-46 is below")));
    EXPECT_TRUE(status("1e-30").ok()) << status("1e-30");
  }
}

}  // namespace
}  // namespace gradd
