#include "core/optim/optimizer_factory.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/optim/weight_decay.h"
#include "tests/core/optim/status_for.h"

namespace gradd {
namespace {

using testing::HasSubstr;

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
      {"sgd {} weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED weight_decay: 2e6",
       "optimizer.weight_decay: 2000000 is outside [0, 1e+06]"},
      {"noisy_sgd { eta: -1 }", "optimizer.noisy_sgd.eta: -1 is outside [0, 1e+06]"},
      {"noisy_sgd { gamma: nan }", "optimizer.noisy_sgd.gamma: nan is outside [0, 1e+06]"},
      {"signum { momentum: 1 }", "optimizer.signum.momentum: 1 is outside [0, 1)"},
      {"optimistic_gradient { alpha: -1 }",
       "optimizer.optimistic_gradient.alpha: -1 is outside [0, 1e+06]"},
      {"optimistic_gradient { beta: inf }",
       "optimizer.optimistic_gradient.beta: inf is outside [0, 1e+06]"},
      {"rprop { decrease: 1 }", "optimizer.rprop.decrease: 1 is outside (0, 1)"},
      {"rprop { decrease: 0 }", "optimizer.rprop.decrease: 0 is outside (0, 1)"},
      {"rprop { increase: 1 }", "optimizer.rprop.increase: 1 is outside (1, 1e+06]"},
      {"rprop { min_step_size: -1 }", "optimizer.rprop.min_step_size: -1 is outside [0, 1e+06]"},
      {"rprop { max_step_size: 0 }", "optimizer.rprop.max_step_size: 0 is outside (0, 1e+06]"},
      {"rprop { min_step_size: 2 max_step_size: 1 }",
       "optimizer.rprop.min_step_size: 2 is above max_step_size, 1"},
      {"asgd { decay: -1 }", "optimizer.asgd.decay: -1 is outside [0, 1e+06]"},
      {"asgd { alpha: 1.5 }", "optimizer.asgd.alpha: 1.5 is outside [0, 1]"},
      {"asgd { averaging_start: nan }",
       "optimizer.asgd.averaging_start: nan is outside [0, 1e+12]"},
      {"ada_delta { decay: 1 }", "optimizer.ada_delta.decay: 1 is outside [0, 1)"},
      {"ada_delta { epsilon: 0 }", "optimizer.ada_delta.epsilon: 0 is outside (0, 1]"},
      {"ams_grad { beta1: 1 }", "optimizer.ams_grad.beta1: 1 is outside [0, 1)"},
      {"ams_grad { beta2: nan }", "optimizer.ams_grad.beta2: nan is outside [0, 1)"},
      {"ams_grad { epsilon: 0 }", "optimizer.ams_grad.epsilon: 0 is outside (0, 1]"},
      {"adam_w { beta1: 1 }", "optimizer.adam_w.beta1: 1 is outside [0, 1)"},
      {"adam_w { beta2: nan }", "optimizer.adam_w.beta2: nan is outside [0, 1)"},
      {"adam_w { epsilon: 0 }", "optimizer.adam_w.epsilon: 0 is outside (0, 1]"},
      {"ada_max { beta1: 1 }", "optimizer.ada_max.beta1: 1 is outside [0, 1)"},
      {"ada_max { beta2: nan }", "optimizer.ada_max.beta2: nan is outside [0, 1)"},
      {"ada_max { epsilon: 0 }", "optimizer.ada_max.epsilon: 0 is outside (0, 1]"},
      {"ada_max_w { beta1: 1 }", "optimizer.ada_max_w.beta1: 1 is outside [0, 1)"},
      {"ada_max_w { beta2: nan }", "optimizer.ada_max_w.beta2: nan is outside [0, 1)"},
      {"ada_max_w { epsilon: 0 }", "optimizer.ada_max_w.epsilon: 0 is outside (0, 1]"},
      {"n_adam { beta1: 1 }", "optimizer.n_adam.beta1: 1 is outside [0, 1)"},
      {"n_adam { beta2: nan }", "optimizer.n_adam.beta2: nan is outside [0, 1)"},
      {"n_adam { epsilon: 0 }", "optimizer.n_adam.epsilon: 0 is outside (0, 1]"},
      {"n_adam_w { beta1: 1 }", "optimizer.n_adam_w.beta1: 1 is outside [0, 1)"},
      {"n_adam_w { beta2: nan }", "optimizer.n_adam_w.beta2: nan is outside [0, 1)"},
      {"n_adam_w { epsilon: 0 }", "optimizer.n_adam_w.epsilon: 0 is outside (0, 1]"},
      {"r_adam { beta1: 1 }", "optimizer.r_adam.beta1: 1 is outside [0, 1)"},
      {"r_adam { beta2: nan }", "optimizer.r_adam.beta2: nan is outside [0, 1)"},
      {"r_adam { epsilon: 0 }", "optimizer.r_adam.epsilon: 0 is outside (0, 1]"},
      {"ada_belief { beta1: 1 }", "optimizer.ada_belief.beta1: 1 is outside [0, 1)"},
      {"ada_belief { beta2: nan }", "optimizer.ada_belief.beta2: nan is outside [0, 1)"},
      {"ada_belief { epsilon: 0 }", "optimizer.ada_belief.epsilon: 0 is outside (0, 1]"},
      {"yogi { beta1: 1 }", "optimizer.yogi.beta1: 1 is outside [0, 1)"},
      {"yogi { beta2: nan }", "optimizer.yogi.beta2: nan is outside [0, 1)"},
      {"yogi { epsilon: 0 }", "optimizer.yogi.epsilon: 0 is outside (0, 1]"},
      {"adopt { beta1: 1 }", "optimizer.adopt.beta1: 1 is outside [0, 1)"},
      {"adopt { beta2: nan }", "optimizer.adopt.beta2: nan is outside [0, 1)"},
      {"adopt { epsilon: 0 }", "optimizer.adopt.epsilon: 0 is outside (0, 1]"},
      {"ad_ema_mix { beta1: 1 }", "optimizer.ad_ema_mix.beta1: 1 is outside [0, 1)"},
      {"ad_ema_mix { beta2: nan }", "optimizer.ad_ema_mix.beta2: nan is outside [0, 1)"},
      {"ad_ema_mix { epsilon: 0 }", "optimizer.ad_ema_mix.epsilon: 0 is outside (0, 1]"},
      {"ac_prop { beta1: 1 }", "optimizer.ac_prop.beta1: 1 is outside [0, 1)"},
      {"ac_prop { beta2: nan }", "optimizer.ac_prop.beta2: nan is outside [0, 1)"},
      {"ac_prop { epsilon: 0 }", "optimizer.ac_prop.epsilon: 0 is outside (0, 1]"},
      {"optimistic_adam { beta1: 1 }", "optimizer.optimistic_adam.beta1: 1 is outside [0, 1)"},
      {"optimistic_adam { beta2: nan }", "optimizer.optimistic_adam.beta2: nan is outside [0, 1)"},
      {"optimistic_adam { epsilon: 0 }", "optimizer.optimistic_adam.epsilon: 0 is outside (0, 1]"},
      {"n_adam { momentum_decay: -1 }",
       "optimizer.n_adam.momentum_decay: -1 is outside [0, 1e+06]"},
      {"n_adam_w { momentum_decay: -1 }",
       "optimizer.n_adam_w.momentum_decay: -1 is outside [0, 1e+06]"},
      {"yogi { initial_accumulator: -1 }",
       "optimizer.yogi.initial_accumulator: -1 is outside [0, 1e+06]"},
      {"adan { beta1: 1 }", "optimizer.adan.beta1: 1 is outside [0, 1)"},
      {"adan { beta2: 1 }", "optimizer.adan.beta2: 1 is outside [0, 1)"},
      {"adan { beta3: 1 }", "optimizer.adan.beta3: 1 is outside [0, 1)"},
      {"adan { epsilon: nan }", "optimizer.adan.epsilon: nan is outside (0, 1]"},
      {"ad_ema_mix { beta3: 1 }", "optimizer.ad_ema_mix.beta3: 1 is outside (0, 1)"},
      {"ad_ema_mix { beta3: 0.5 }", "optimizer.ad_ema_mix.beta3: 0.5 is below beta1, 0.9"},
      {"ad_ema_mix { alpha: -1 }", "optimizer.ad_ema_mix.alpha: -1 is outside [0, 1e+06]"},
      {"ad_ema_mix { alpha_warmup_steps: -1 }",
       "optimizer.ad_ema_mix.alpha_warmup_steps: -1 is outside [0, 1e+12]"},
      {"ad_ema_mix { beta3_warmup_steps: inf }",
       "optimizer.ad_ema_mix.beta3_warmup_steps: inf is outside [0, 1e+12]"},
      {"optimistic_adam { optimism: -1 }",
       "optimizer.optimistic_adam.optimism: -1 is outside [0, 1e+06]"},
      {"lion { beta1: 1 }", "optimizer.lion.beta1: 1 is outside [0, 1)"},
      {"lion { beta2: -1 }", "optimizer.lion.beta2: -1 is outside [0, 1)"},
      {"madgrad { momentum: 1 }", "optimizer.madgrad.momentum: 1 is outside [0, 1)"},
      {"madgrad { epsilon: 0 }", "optimizer.madgrad.epsilon: 0 is outside (0, 1]"},
      {"ftrl { learning_rate_power: 0.5 }",
       "optimizer.ftrl.learning_rate_power: 0.5 is outside [-1, 0]"},
      {"ftrl { learning_rate_power: nan }",
       "optimizer.ftrl.learning_rate_power: nan is outside [-1, 0]"},
      {"ftrl { l1: -1 }", "optimizer.ftrl.l1: -1 is outside [0, 1e+06]"},
      {"ftrl { l1: nan }", "optimizer.ftrl.l1: nan is outside [0, 1e+06]"},
      {"ftrl { l2: inf }", "optimizer.ftrl.l2: inf is outside [0, 1e+06]"},
      {"ftrl { beta: -1 }", "optimizer.ftrl.beta: -1 is outside [0, 1e+06]"},
      {"ftrl { initial_accumulator: -1 }",
       "optimizer.ftrl.initial_accumulator: -1 is outside [0, 1e+06]"},
      {"ftrl { l2: 0.5 } weight_decay: 0.1",
       "optimizer.ftrl.l2: 0.5, and optimizer.weight_decay is 0.1, expected one"},
      {"adam_w {} weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED",
       "optimizer.weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED is not for this kind"},
      {"ada_max_w {} weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED",
       "optimizer.weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED is not for this kind"},
      {"n_adam_w {} weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED",
       "optimizer.weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED is not for this kind"},
      {"madgrad {} weight_decay: 0.1 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED",
       "optimizer.weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED is not for this kind"},
      {"ftrl {} weight_decay: 0.1 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED",
       "optimizer.weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED is not for this kind"},
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
       {"momentum { momentum: 0 dampening: 1 }",
        "ada_grad { epsilon: 0 }",
        "rms_prop { decay: 0 }",
        "rms_prop { epsilon: 1 }",
        "adam { beta1: 0 beta2: 0 }",
        "sgd {} weight_decay: 1e6",
        "noisy_sgd { eta: 0 gamma: 1e6 }",
        "signum { momentum: 0 }",
        "optimistic_gradient { alpha: 0 beta: 1e6 }",
        "rprop { increase: 1e6 min_step_size: 0 max_step_size: 1e6 }",
        "rprop { min_step_size: 1 max_step_size: 1 }",
        "asgd { decay: 0 alpha: 1 averaging_start: 0 }",
        "asgd { averaging_start: 1e12 }",
        "ada_delta { decay: 0 epsilon: 1 }",
        "ams_grad { beta1: 0 beta2: 0 epsilon: 1 }",
        "adam_w { beta1: 0 beta2: 0 } weight_decay: 0",
        "ada_max { beta1: 0 beta2: 0 }",
        "ada_max_w {} weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED",
        "n_adam { beta1: 0 momentum_decay: 1e6 }",
        "n_adam_w { momentum_decay: 0 }",
        "r_adam { beta1: 0 beta2: 0 }",
        "ada_belief { beta1: 0 beta2: 0 epsilon: 1 }",
        "yogi { initial_accumulator: 0 }",
        "adan { beta1: 0 beta2: 0 beta3: 0 epsilon: 1 }",
        "adopt { beta1: 0 beta2: 0 epsilon: 1 }",
        "ad_ema_mix { beta1: 0.9 beta3: 0.9 alpha: 0 }",
        "ad_ema_mix { alpha_warmup_steps: 1e12 beta3_warmup_steps: 1e12 }",
        "ac_prop { beta1: 0 beta2: 0 }",
        "optimistic_adam { optimism: 0 }",
        "lion { beta1: 0 beta2: 0 } weight_decay: 0.1 weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED",
        "madgrad { momentum: 0 epsilon: 1 }",
        "ftrl { learning_rate_power: -1 beta: 0 }",
        "ftrl { learning_rate_power: 0 l1: 1e6 l2: 1e6 }",
        "ftrl { l2: 0 } weight_decay: 0.1"}) {
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

// `kind` with a decay that does something, in a mode.
absl::StatusOr<std::string> StepWithDecay(const std::string& kind, v1::WeightDecayMode mode) {
  v1::Optimizer spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(kind + " {}", &spec));
  spec.set_weight_decay(0.125);
  spec.set_weight_decay_mode(mode);
  const absl::StatusOr<WeightDecay> decay = ReadWeightDecay(spec);
  if (!decay.ok()) return decay.status();
  return absl::StrCat(decay->coupled, " ", decay->decoupled);
}

// What the paper or its authors' code means by weight decay.
TEST(MakeOptimizerTest, WeightDecayIsByDefaultWhatEachMethodMeansByIt) {
  const std::set<std::string> decoupled = {"ac_prop",
                                           "ada_belief",
                                           "ada_max_w",
                                           "adafactor",
                                           "adam_w",
                                           "adan",
                                           "ad_ema_mix",
                                           "lamb",
                                           "lion",
                                           "momo",
                                           "momo_adam",
                                           "muon",
                                           "n_adam_w",
                                           "novo_grad",
                                           "prodigy",
                                           "r_adam",
                                           "schedule_free_adam"};
  const auto* const kind = v1::Optimizer::descriptor()->FindOneofByName("kind");
  size_t seen = 0;
  for (int i = 0; i < kind->field_count(); ++i) {
    const std::string& name = kind->field(i)->name();
    const bool expected = decoupled.count(name) > 0;
    seen += expected ? 1 : 0;
    const auto unset = StepWithDecay(name, v1::WEIGHT_DECAY_MODE_UNSPECIFIED);
    ASSERT_TRUE(unset.ok()) << unset.status();
    EXPECT_EQ(*unset, expected ? "0 0.125" : "0.125 0") << name;
    const auto named = StepWithDecay(
        name, expected ? v1::WEIGHT_DECAY_MODE_DECOUPLED : v1::WEIGHT_DECAY_MODE_COUPLED);
    ASSERT_TRUE(named.ok()) << named.status();
    EXPECT_EQ(*named, *unset) << name;
  }
  EXPECT_EQ(seen, decoupled.size());
}

}  // namespace
}  // namespace gradd
