#include "tests/core/run/every_stage.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <utility>

#include "core/optim/optimizer_factory.h"
#include "tests/core/optim/optimizer_table.h"

namespace gradd {
namespace {

NamedOptimizer Named(const std::string& name, const std::string& spec, double learning_rate) {
  NamedOptimizer named{name, {}, learning_rate};
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(spec, &named.spec)) << spec;
  return named;
}

// With ThreadSanitizer, which takes twenty times as long, every fourth row: what threads share
// depends on how a method is cut into tasks, and that is the same for many of them.
std::vector<NamedOptimizer> ForThisBuild(std::vector<NamedOptimizer> all) {
#ifdef __SANITIZE_THREAD__
  std::vector<NamedOptimizer> some;
  for (size_t i = 0; i < all.size(); i += 4) some.push_back(std::move(all[i]));
  return some;
#else
  return all;
#endif
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const NamedOptimizer& named) {
  return out << named.name;
}

std::vector<NamedOptimizer> EveryOptimizerAndStage() {
  std::vector<NamedOptimizer> all;
  for (const OptimizerCase& row : OptimizerTable()) {
    all.push_back(Named(row.name, row.spec, row.parabola_rate));
  }
  const std::vector<std::pair<std::string, std::string>> stages = {
      {"clip_by_value", "clip_by_value: 0.5"},
      {"clip_by_tensor_norm", "clip_by_tensor_norm: 0.5"},
      {"clip_by_global_norm", "clip_by_global_norm: 0.5"},
      {"every_clip", "clip_by_value: 2 clip_by_tensor_norm: 20 clip_by_global_norm: 10"},
      {"centralize_gradient", "centralize_gradient: true"},
      {"adaptive_clipping", "adaptive_clipping: 0.1"},
      {"look_ahead", "look_ahead { interval: 2 }"},
      {"parameter_average", "parameter_average {}"},
      {"accumulation", "accumulation_steps: 2"},
      {"coupled_decay", "weight_decay: 0.1 weight_decay_mode: WEIGHT_DECAY_MODE_COUPLED"},
      {"decoupled_decay", "weight_decay: 0.1 weight_decay_mode: WEIGHT_DECAY_MODE_DECOUPLED"},
      {"everything",
       "clip_by_value: 2 clip_by_global_norm: 10 centralize_gradient: true adaptive_clipping: 0.5 "
       "look_ahead { interval: 2 } parameter_average {} accumulation_steps: 2 weight_decay: 0.1"}};
  for (const auto& [stage, spec] : stages) {
    for (const char* const optimizer : {"adam", "momentum"}) {
      all.push_back(Named(stage + "_around_" + optimizer, std::string(optimizer) + " {} " + spec,
                          /*learning_rate=*/0.01));
    }
  }
  return ForThisBuild(std::move(all));
}

std::vector<NamedOptimizer> EveryLazyOptimizer() {
  std::vector<NamedOptimizer> lazy;
  for (const OptimizerCase& row : OptimizerTable()) {
    const NamedOptimizer plain = Named(row.name, row.spec, row.parabola_rate);
    if (!(*MakeOptimizer(plain.spec))->lazy()) continue;
    lazy.push_back(plain);
    lazy.push_back(plain);
    lazy.back().name += "_with_clip_by_global_norm";
    lazy.back().spec.set_clip_by_global_norm(0.5);
    lazy.push_back(plain);
    lazy.back().name += "_with_clip_by_tensor_norm";
    lazy.back().spec.set_clip_by_tensor_norm(0.5);
  }
  return ForThisBuild(std::move(lazy));
}

}  // namespace gradd
