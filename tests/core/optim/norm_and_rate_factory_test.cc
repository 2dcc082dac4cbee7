#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "core/optim/optimizer_factory.h"
#include "tests/core/optim/status_for.h"

namespace gradd {
namespace {

using testing::HasSubstr;

struct Field {
  const char* optimizer;
  const char* field;
  const char* range;
  std::vector<const char*> outside;
  std::vector<const char*> inside;
};

std::vector<Field> Fields() {
  const std::vector<const char*> below_one = {"-0.1", "1", "1.5"};
  const std::vector<const char*> from_zero = {"0", "0.5", "0.9999"};
  const std::vector<const char*> not_one = {"-0.1", "1.5"};
  const std::vector<const char*> all_to_one = {"0", "0.5", "1"};
  const std::vector<const char*> not_zero = {"0", "-0.1", "1.5"};
  const std::vector<const char*> above_zero = {"1e-12", "1"};
  const std::vector<const char*> not_positive = {"0", "-1", "1.1e6"};
  const std::vector<const char*> positive = {"1e-12", "1e6"};
  const std::vector<const char*> too_large = {"-1.1e6", "1.1e6"};
  const std::vector<const char*> million = {"-1e6", "0", "1e6"};
  const std::vector<const char*> no_power = {"-0.1", "101"};
  const std::vector<const char*> power = {"0", "2.5", "100"};
  return {
      {"d_adapt_adam", "beta1", "[0, 1)", below_one, from_zero},
      {"d_adapt_adam", "beta2", "[0, 1)", below_one, from_zero},
      {"d_adapt_adam", "epsilon", "(0, 1]", not_zero, above_zero},
      {"d_adapt_adam", "initial_distance", "(0, 1e+06]", not_positive, positive},
      {"prodigy", "beta1", "[0, 1)", below_one, from_zero},
      {"prodigy", "beta2", "[0, 1)", below_one, from_zero},
      {"prodigy", "beta3", "[0, 1)", below_one, from_zero},
      {"prodigy", "epsilon", "(0, 1]", not_zero, above_zero},
      {"prodigy", "initial_distance", "(0, 1e+06]", not_positive, positive},
      {"prodigy", "d_coefficient", "(0, 1e+06]", not_positive, positive},
      {"dog", "initial_distance", "(0, 1e+06]", not_positive, positive},
      {"dog", "epsilon", "[0, 1]", not_one, all_to_one},
      {"dowg", "initial_distance", "(0, 1e+06]", not_positive, positive},
      {"dowg", "epsilon", "[0, 1]", not_one, all_to_one},
      {"cocob", "alpha", "(0, 1e+06]", not_positive, positive},
      {"cocob", "epsilon", "(0, 1]", not_zero, above_zero},
      {"schedule_free_sgd", "beta", "[0, 1]", not_one, all_to_one},
      {"schedule_free_sgd", "r", "[0, 100]", no_power, power},
      {"schedule_free_sgd", "weight_lr_power", "[0, 100]", no_power, power},
      {"schedule_free_adam", "beta1", "[0, 1]", not_one, all_to_one},
      {"schedule_free_adam", "beta2", "[0, 1)", below_one, from_zero},
      {"schedule_free_adam", "epsilon", "(0, 1]", not_zero, above_zero},
      {"schedule_free_adam", "r", "[0, 100]", no_power, power},
      {"schedule_free_adam", "weight_lr_power", "[0, 100]", no_power, power},
      {"polyak_step_size", "f_min", "[-1e+06, 1e+06]", too_large, million},
      {"polyak_step_size", "c", "(0, 1e+06]", not_positive, positive},
      {"momo", "beta", "[0, 1)", below_one, from_zero},
      {"momo", "f_min", "[-1e+06, 1e+06]", too_large, million},
      {"momo_adam", "beta1", "[0, 1)", below_one, from_zero},
      {"momo_adam", "beta2", "[0, 1)", below_one, from_zero},
      {"momo_adam", "epsilon", "(0, 1]", not_zero, above_zero},
      {"momo_adam", "f_min", "[-1e+06, 1e+06]", too_large, million},
      {"lars", "momentum", "[0, 1)", below_one, from_zero},
      {"lars", "trust_coefficient", "(0, 1e+06]", not_positive, positive},
      {"lars", "epsilon", "[0, 1]", not_one, all_to_one},
      {"lamb", "beta1", "[0, 1)", below_one, from_zero},
      {"lamb", "beta2", "[0, 1)", below_one, from_zero},
      {"lamb", "epsilon", "(0, 1]", not_zero, above_zero},
      {"novo_grad", "beta1", "[0, 1)", below_one, from_zero},
      {"novo_grad", "beta2", "[0, 1)", below_one, from_zero},
      {"novo_grad", "epsilon", "(0, 1]", not_zero, above_zero},
  };
}

TEST(MakeOptimizerTest, EveryHyperParameterOfRatesAndNormsHasItsRange) {
  for (const Field& field : Fields()) {
    const auto spec = [&](const char* value) {
      return absl::StrCat(field.optimizer, " { ", field.field, ": ", value, " }");
    };
    std::vector<const char*> outside = field.outside;
    for (const char* const number : {"nan", "inf", "-inf"}) outside.push_back(number);
    for (const char* const value : outside) {
      const absl::Status status = StatusFor(spec(value));
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << spec(value);
      EXPECT_THAT(status.message(),
                  HasSubstr(absl::StrCat("optimizer.", field.optimizer, ".", field.field, ": ")));
      EXPECT_THAT(status.message(), HasSubstr(absl::StrCat(" is outside ", field.range)));
    }
    for (const char* const value : field.inside) {
      EXPECT_TRUE(StatusFor(spec(value)).ok()) << StatusFor(spec(value));
    }
  }
}

TEST(MakeOptimizerTest, EveryFieldOfRatesAndNormsIsInTheTest) {
  int fields = 0;
  const auto* const kind = v1::Optimizer::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kind->field_count(); ++i) {
    if (kind->field(i)->number() >= 150 && kind->field(i)->number() < 200) {
      const auto* const message = kind->field(i)->message_type();
      for (int k = 0; k < message->field_count(); ++k) {
        // Switches have no range.
        if (message->field(k)->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_BOOL) {
          ++fields;
        }
      }
    }
  }
  EXPECT_EQ(static_cast<size_t>(fields), Fields().size());
}

TEST(MakeOptimizerTest, CocobHasNoDecoupledDecay) {
  const std::string decoupled = "weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED";
  EXPECT_THAT(StatusFor("cocob {} weight_decay: 0.1 " + decoupled).message(),
              HasSubstr("optimizer.weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED has no meaning "
                        "for cocob, expected WEIGHT_DECAY_MODE_COUPLED"));
  EXPECT_TRUE(StatusFor("cocob {} " + decoupled).ok());
  EXPECT_TRUE(StatusFor("cocob {} weight_decay: 0.1").ok());
}

}  // namespace
}  // namespace gradd
