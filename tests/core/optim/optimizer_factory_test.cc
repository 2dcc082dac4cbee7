#include "core/optim/optimizer_factory.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace gradd {
namespace {

using testing::HasSubstr;

absl::Status StatusFor(const std::string& text) {
  v1::Optimizer spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return MakeOptimizer(spec).status();
}

TEST(MakeOptimizerTest, EveryHyperParameterHasItsRange) {
  const struct {
    const char* spec;
    const char* message;
  } cases[] = {
      {"", "optimizer: no kind is set"},
      {"sgd {} weight_decay: -1", "optimizer.weight_decay: -1 is outside [0, 1e+06]"},
      {"sgd {} weight_decay: nan", "optimizer.weight_decay: nan"},
      {"sgd {} weight_decay: inf", "optimizer.weight_decay: inf"},
      {"momentum { momentum: 1 }", "optimizer.momentum.momentum: 1 is outside [0, 1)"},
      {"momentum { dampening: 1.5 }", "optimizer.momentum.dampening: 1.5 is outside [0, 1]"},
      {"nesterov { momentum: 0 }", "optimizer.nesterov.momentum: 0 is outside (0, 1)"},
      {"nesterov { momentum: nan }", "optimizer.nesterov.momentum: nan is outside (0, 1)"},
      {"ada_grad { epsilon: -1e-9 }", "optimizer.ada_grad.epsilon: -1e-09 is outside [0, 1]"},
      {"ada_grad { initial_accumulator: inf }", "optimizer.ada_grad.initial_accumulator: inf"},
      {"ada_grad { learning_rate_decay: -1 }", "optimizer.ada_grad.learning_rate_decay: -1"},
      {"rms_prop { decay: 1 }", "optimizer.rms_prop.decay: 1 is outside [0, 1)"},
      {"rms_prop { epsilon: 0 }", "optimizer.rms_prop.epsilon: 0 is outside (0, 1]"},
      {"rms_prop { momentum: 1 centered: true }", "optimizer.rms_prop.momentum: 1"},
      {"adam { beta1: 1.5 }", "optimizer.adam.beta1: 1.5 is outside [0, 1)"},
      {"adam { beta2: -0.1 }", "optimizer.adam.beta2: -0.1 is outside [0, 1)"},
      {"adam { epsilon: nan }", "optimizer.adam.epsilon: nan is outside (0, 1]"},
      {"adafactor { beta2_decay: 0 }", "optimizer.adafactor.beta2_decay: 0 is outside [-1, 0)"},
      {"adafactor { epsilon1: 0 }", "optimizer.adafactor.epsilon1: 0 is outside (0, 1]"},
      {"adafactor { epsilon2: nan }", "optimizer.adafactor.epsilon2: nan is outside [0, 1]"},
      {"adafactor { clip_threshold: 0 }", "optimizer.adafactor.clip_threshold: 0 is outside (0,"},
      {"sm3 { momentum: 1 }", "optimizer.sm3.momentum: 1 is outside [0, 1)"},
      {"muon { momentum: 1 }", "optimizer.muon.momentum: 1 is outside [0, 1)"},
      {"muon { momentum: 0 nesterov: true }", "optimizer.muon.nesterov: true with a momentum of 0"},
      {"muon { newton_schulz_steps: 21 }", "optimizer.muon.newton_schulz_steps: 21 is outside [1,"},
      {"muon { epsilon: 0 }", "optimizer.muon.epsilon: 0 is outside (0, 1]"},
      {"muon { adam_beta1: 1 }", "optimizer.muon.adam_beta1: 1 is outside [0, 1)"},
      {"muon { adam_beta2: -1 }", "optimizer.muon.adam_beta2: -1 is outside [0, 1)"},
      {"muon { adam_epsilon: 2 }", "optimizer.muon.adam_epsilon: 2 is outside (0, 1]"},
      {"muon { adam_learning_rate_factor: inf }", "optimizer.muon.adam_learning_rate_factor: inf"},
      {"shampoo { epsilon: 0 }", "optimizer.shampoo.epsilon: 0 is outside (0, 1e+06]"},
      {"shampoo { decay: 1.1 }", "optimizer.shampoo.decay: 1.1 is outside (0, 1]"},
      {"shampoo { momentum: nan }", "optimizer.shampoo.momentum: nan is outside [0, 1)"},
      {"shampoo { refresh_interval: 0 }", "optimizer.shampoo.refresh_interval: 0 is outside [1,"},
      {"shampoo { max_dimension: 2049 }", "optimizer.shampoo.max_dimension: 2049 is outside [1,"},
  };
  for (const auto& [spec, message] : cases) {
    const absl::Status status = StatusFor(spec);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << spec;
    EXPECT_THAT(status.message(), HasSubstr(message));
  }
}

TEST(MakeOptimizerTest, EndsOfRangesAreAccepted) {
  for (const char* spec :
       {"momentum { momentum: 0 dampening: 1 }", "ada_grad { epsilon: 0 }", "rms_prop { decay: 0 }",
        "rms_prop { epsilon: 1 }", "adam { beta1: 0 beta2: 0 }", "sgd {} weight_decay: 1e6"}) {
    EXPECT_TRUE(StatusFor(spec).ok()) << StatusFor(spec);
  }
}

TEST(MakeOptimizerTest, UnknownEnumValuesAreRefused) {
  v1::Optimizer spec;
  spec.mutable_nesterov()->set_form(static_cast<v1::Nesterov::Form>(9));
  EXPECT_THAT(MakeOptimizer(spec).status().message(), HasSubstr("9 is no Nesterov.Form"));
  spec.mutable_sgd();
  spec.set_weight_decay_mode(static_cast<v1::WeightDecayMode>(9));
  EXPECT_THAT(MakeOptimizer(spec).status().message(), HasSubstr("9 is no WeightDecayMode"));
}

}  // namespace
}  // namespace gradd
