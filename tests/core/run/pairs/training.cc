#include "tests/core/run/pairs/training.h"

#include <algorithm>

#include "tests/core/run/pairs/tiny_model.h"

namespace gradd {
namespace {

// The optimizer of tensors that are trained apart: with a rate of its own, which no warm-up is for,
// and with slots that no other kind has both.
constexpr char kApartRow[] = "ada_delta";
constexpr double kApartFactor = 0.5;
constexpr double kBiasDecay = 0.03;

const OptimizerCase& ApartRow() {
  const std::vector<OptimizerCase>& table = OptimizerTable();
  return *std::find_if(table.begin(), table.end(),
                       [](const OptimizerCase& row) { return row.name == kApartRow; });
}

// Of the run's own optimizer. All numbers are such that they matter in most steps.
ReferenceStages StagesOf(const Training& training) {
  const Stage stage = training.stage;
  const bool everything = stage == Stage::kEverything;
  ReferenceStages stages;
  if (everything || stage == Stage::kEveryClip) {
    stages.clip_by_value = 1.2;
    stages.clip_by_tensor_norm = 3;
    stages.clip_by_global_norm = 4;
  }
  if (stage == Stage::kClipByValue) stages.clip_by_value = 0.7;
  if (stage == Stage::kClipByTensorNorm) stages.clip_by_tensor_norm = 2.5;
  if (stage == Stage::kClipByGlobalNorm || stage == Stage::kGroupSharesNorm ||
      stage == Stage::kGroupWithoutDecay) {
    stages.clip_by_global_norm = 4;
  }
  stages.centralize = everything || stage == Stage::kCentralize;
  if (everything || stage == Stage::kAdaptiveClipping) stages.adaptive_clipping = 0.6;
  if (everything || stage == Stage::kLookAhead) {
    stages.look_ahead_interval = 3;
    stages.look_ahead_alpha = 0.4;
  }
  if (everything || stage == Stage::kAverage) stages.average_decay = 0.9;
  if (stage == Stage::kCoupledDecay || stage == Stage::kGroupWithoutDecay) stages.coupled = 0.2;
  if (stage == Stage::kDecoupledDecay) stages.decoupled = 0.2;
  if (training.clip_by_global_norm > 0) {
    stages.clip_by_global_norm = training.clip_by_global_norm;
  }
  if (training.decay > 0) {
    stages.coupled = training.decay;
    stages.decoupled = 0;
  }
  if (training.joined) {
    stages.look_ahead_interval = 2;
    stages.look_ahead_alpha = 0.5;
    // One that keeps an average of its own is left alone.
    if (!OptimizerOf(*training.row).has_asgd()) stages.average_decay = 0.5;
  }
  return stages;
}

v1::Optimizer OptimizerSpecOf(const Training& training) {
  const ReferenceStages stages = StagesOf(training);
  v1::Optimizer spec = OptimizerOf(*training.row);
  const auto set = [](double bound) { return bound < ReferenceStages::kNone; };
  if (stages.centralize) spec.set_centralize_gradient(true);
  if (set(stages.adaptive_clipping)) spec.set_adaptive_clipping(stages.adaptive_clipping);
  if (set(stages.clip_by_value)) spec.set_clip_by_value(stages.clip_by_value);
  if (set(stages.clip_by_tensor_norm)) spec.set_clip_by_tensor_norm(stages.clip_by_tensor_norm);
  if (set(stages.clip_by_global_norm)) spec.set_clip_by_global_norm(stages.clip_by_global_norm);
  if (stages.coupled > 0) {
    spec.set_weight_decay(stages.coupled);
    spec.set_weight_decay_mode(v1::WEIGHT_DECAY_MODE_COUPLED);
  }
  if (stages.decoupled > 0) {
    spec.set_weight_decay(stages.decoupled);
    spec.set_weight_decay_mode(v1::WEIGHT_DECAY_MODE_DECOUPLED);
  }
  if (stages.look_ahead_interval > 0) {
    spec.mutable_look_ahead()->set_interval(stages.look_ahead_interval);
    spec.mutable_look_ahead()->set_alpha(stages.look_ahead_alpha);
  }
  if (stages.average_decay >= 0) {
    spec.mutable_parameter_average()->set_decay(stages.average_decay);
  }
  if (training.stage == Stage::kSkipNonFinite || training.stage == Stage::kEverything) {
    spec.mutable_skip_non_finite()->set_max_in_a_row(2);
  }
  if (training.window > 1) {
    spec.set_accumulation_steps(static_cast<int32_t>(training.window));
  }
  return spec;
}

bool BiasIsApart(const Training& training) {
  return training.stage == Stage::kGroupApart || training.stage == Stage::kGroupSharesNorm;
}

}  // namespace

std::string NameOf(Stage stage) {
  constexpr const char* kNames[] = {"no_stage",
                                    "clip_by_value",
                                    "clip_by_tensor_norm",
                                    "clip_by_global_norm",
                                    "every_clip",
                                    "centralize",
                                    "adaptive_clipping",
                                    "look_ahead",
                                    "average",
                                    "skip_non_finite",
                                    "coupled_decay",
                                    "decoupled_decay",
                                    "group_without_decay",
                                    "group_apart",
                                    "group_shares_norm",
                                    "everything"};
  return kNames[static_cast<size_t>(stage)];
}

v1::Run SpecOf(const Training& training) {
  v1::Run spec;
  *spec.mutable_layout() = TinyLayout();
  *spec.mutable_optimizer() = OptimizerSpecOf(training);
  *spec.mutable_schedule() = training.schedule;
  *spec.mutable_policy() = training.policy;
  const auto add_group = [&spec](size_t tensor) -> v1::ParameterGroup& {
    v1::ParameterGroup& group = *spec.add_groups();
    group.set_pattern(TinyTensors()[tensor].name);
    return group;
  };
  const auto train_apart = [](v1::ParameterGroup* group) {
    *group->mutable_optimizer() = OptimizerOf(ApartRow());
    group->set_learning_rate_factor(kApartFactor);
  };
  add_group(kStill).set_frozen(true);
  if (training.stage == Stage::kGroupWithoutDecay) add_group(kBias).set_weight_decay(kBiasDecay);
  if (BiasIsApart(training)) {
    v1::ParameterGroup& bias = add_group(kBias);
    train_apart(&bias);
    if (training.stage == Stage::kGroupSharesNorm) bias.set_shares_norms(true);
  }
  if (training.right == Training::Right::kApart) train_apart(&add_group(kRight));
  if (training.right == Training::Right::kFrozen) add_group(kRight).set_frozen(true);
  return spec;
}

std::vector<ReferenceGroup> GroupsOf(const Training& training) {
  ReferenceGroup still;
  still.tensors = {kStill};
  ReferenceGroup common;
  common.row = training.row;
  common.stages = StagesOf(training);
  common.shares_norm = true;
  common.tensors = {kLeft, kMiddle};
  if (training.stage == Stage::kGroupWithoutDecay) common.coupled_of[kBias] = kBiasDecay;
  ReferenceGroup apart;
  apart.row = &ApartRow();
  apart.rate_factor = kApartFactor;

  std::vector<ReferenceGroup> groups = {still};
  if (BiasIsApart(training)) {
    groups.push_back(apart);
    groups.back().tensors = {kBias};
    groups.back().shares_norm = training.stage == Stage::kGroupSharesNorm;
    if (groups.back().shares_norm) {
      groups.back().stages.clip_by_global_norm = common.stages.clip_by_global_norm;
    }
  } else {
    common.tensors.push_back(kBias);
  }
  if (training.right == Training::Right::kAsOthers) {
    common.tensors.push_back(kRight);
  } else {
    groups.push_back(training.right == Training::Right::kApart ? apart : ReferenceGroup());
    groups.back().tensors = {kRight};
  }
  groups.push_back(common);
  return groups;
}

}  // namespace gradd
