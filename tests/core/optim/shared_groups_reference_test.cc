// Groups that are trained together, against references in double and torch.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/core/optim/plan_trainer.h"

namespace gradd {
namespace {

using Doubles = std::vector<double>;

constexpr double kPi = 3.14159265358979323846;

// Warm-up over 20 steps, then half a cosine, as both torch and the reference below have it.
double RecipeRate(int step, int steps) {
  constexpr int kWarmUp = 20;
  if (step < kWarmUp) return 0.01 * (step + 1) / kWarmUp;
  return 0.005 * (1 + std::cos(kPi * (step - kWarmUp) / (steps - kWarmUp)));
}

constexpr int kRecipeSteps = 200;
constexpr char kRecipe[] = "adam_w {} weight_decay: 0.1 clip_by_global_norm: 1";
constexpr char kNoDecay[] = "pattern: '[bd]' weight_decay: 0";

// The everyday recipe of a transformer: AdamW, biases and scales without decay, one bound of the
// norm over all of them.
TEST(SharedGroupsReferenceTest, EveryStepOfAdamWIsThatOfTheReference) {
  const std::vector<int64_t> sizes = {64, 8, 48, 6};
  Trainer trainer(MakeLayout(sizes), kRecipe, {kNoDecay});
  const auto count = static_cast<size_t>(64 + 8 + 48 + 6);
  const auto decays = [](size_t i) { return i < 64 || (i >= 72 && i < 120); };
  Doubles m(count);
  Doubles v(count);
  for (int step = 0; step < kRecipeSteps; ++step) {
    const Values before = trainer.parameters();
    Values gradient = Random(static_cast<int64_t>(count), static_cast<unsigned>(step));
    // Norms from 0.01 to 20: some steps are bounded, some are not.
    const float scale = std::exp(std::sin(static_cast<float>(step)) * 4) / 30;
    for (float& g : gradient) g *= scale;
    const double rate = RecipeRate(step, kRecipeSteps);
    trainer.Step(gradient, rate);
    double squares = 0;
    for (const float g : gradient) squares += static_cast<double>(g) * static_cast<double>(g);
    const double factor = std::min(1.0, 1 / std::sqrt(squares));
    Doubles expected(count);
    double largest = 0;
    for (size_t i = 0; i < count; ++i) {
      const double g = factor * static_cast<double>(gradient[i]);
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      const double p = static_cast<double>(before[i]) * (1 - (decays(i) ? rate * 0.1 : 0));
      expected[i] = p - rate * (m[i] / (1 - std::pow(0.9, step + 1))) /
                            (std::sqrt(v[i] / (1 - std::pow(0.999, step + 1))) + 1e-8);
      largest = std::max(largest, std::abs(expected[i] - static_cast<double>(before[i])));
    }
    const Values after = trainer.parameters();
    for (size_t i = 0; i < count; ++i) {
      // The parameter itself is rounded to float32, twice where it decays.
      const double rounding = 1.2e-7 * std::abs(expected[i]);
      ASSERT_NEAR(static_cast<double>(after[i]), expected[i], 1e-6 * largest + rounding)
          << "step " << step << " element " << i;
    }
  }
}

TEST(SharedGroupsReferenceTest, TheRecipeFollowsTorch) {
  std::ifstream file(GRADD_GOLDEN "/groups.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  for (const auto& [name, spec, groups] :
       {std::tuple<const char*, const char*, std::vector<std::string>>{
            "adam_w_clipped", kRecipe, {kNoDecay}},
        {"adam_w_clipped_rates",
         kRecipe,
         {"pattern: 'b' weight_decay: 0 learning_rate_factor: 2",
          "pattern: 'd' learning_rate_factor: 0.5"}}}) {
    SCOPED_TRACE(name);
    Trainer trainer(MakeLayout({4, 2, 6, 3}, 1), spec, groups);
    const nlohmann::json& states = golden.at(name);
    ASSERT_EQ(states.size(), static_cast<size_t>(kRecipeSteps / 10));
    for (int step = 0; step < kRecipeSteps; ++step) {
      const Values p = trainer.parameters();
      Values gradient;
      for (size_t i = 0; i < p.size(); ++i) {
        const double k = static_cast<double>(i % 8);
        const double center = (i % 2 == 0 ? 1 : -1) * (0.5 + 0.2 * k);
        gradient.push_back(static_cast<float>(0.2 * (k + 1) * (static_cast<double>(p[i]) - center) +
                                              0.1 * std::sin(0.7 * step + static_cast<double>(i))));
      }
      trainer.Step(gradient, RecipeRate(step, kRecipeSteps));
      if ((step + 1) % 10 != 0) continue;
      const Values after = trainer.parameters();
      for (size_t i = 0; i < p.size(); ++i) {
        const auto expected = states.at(static_cast<size_t>(step / 10)).at(i).get<double>();
        // torch divides by the norm + 1e-6.
        ASSERT_NEAR(static_cast<double>(after[i]), expected, 1e-5 * std::abs(expected) + 1e-6)
            << "step " << step << " element " << i;
      }
    }
  }
}

// A rule in double over tensors whose decay and rate differ, as its authors' code does it: `decay`
// is applied by the rule, rate * factor moves a tensor, the largest rate weighs steps.
struct RateFreeReference {
  // Far from what float32 rounds of a parameter.
  static constexpr double kD0 = 0.01;

  std::string optimizer;
  Doubles p, start, decay, factor;  // Of each element.
  Doubles m, v, s;
  double d = 0, r = 0, squares = 0;

  bool counts(size_t i) const { return factor[i] > 0; }
  double largest() const { return *std::max_element(factor.begin(), factor.end()); }

  void Prodigy(int64_t t, double lr, const Doubles& g) {
    if (t == 1) d = kD0;
    const double correction = std::sqrt(1 - std::pow(0.999, static_cast<double>(t))) /
                              (1 - std::pow(0.9, static_cast<double>(t)));
    const double beta3 = std::sqrt(0.999);
    const double common = d * lr * largest() * correction;
    const double before = d;
    double denominator = 0;
    r *= beta3;
    for (size_t i = 0; i < p.size(); ++i) {
      s[i] = beta3 * s[i] + common * d / kD0 * g[i];
      m[i] = 0.9 * m[i] + 0.1 * d * g[i];
      v[i] = 0.999 * v[i] + 0.001 * d * d * g[i] * g[i];
      if (!counts(i)) continue;
      r += common * d / kD0 * g[i] * (start[i] - p[i]);
      denominator += std::abs(s[i]);
    }
    if (denominator > 0) d = std::max(d, r / denominator);
    for (size_t i = 0; i < p.size(); ++i) {
      const double rate = before * lr * factor[i] * correction;
      p[i] -= rate * decay[i] * p[i] + rate * m[i] / (std::sqrt(v[i]) + d * 1e-8);
    }
  }

  // Its weight decay is coupled.
  void DAdaptAdam(int64_t t, double lr, const Doubles& gradient) {
    if (t == 1) d = kD0;
    const double correction = std::sqrt(1 - std::pow(0.999, static_cast<double>(t))) /
                              (1 - std::pow(0.9, static_cast<double>(t)));
    const double b = std::sqrt(0.999);
    const double common = d * lr * largest() * correction;
    double product = 0;
    double denominator = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      const double g = gradient[i] + decay[i] * p[i];
      if (counts(i)) product += g * s[i] / (std::sqrt(v[i]) + 1e-8);
      m[i] = 0.9 * m[i] + 0.1 * d * lr * factor[i] * correction * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      s[i] = b * s[i] + (1 - b) * common * g;
      if (counts(i)) denominator += std::abs(s[i]);
      p[i] -= m[i] / (std::sqrt(v[i]) + 1e-8);
    }
    r = b * r + (1 - b) * common * product;
    if (denominator > 0) d = std::max(d, r / ((1 - b) * denominator));
  }

  void Dog(int64_t /*t*/, double lr, const Doubles& gradient) {
    double way = 0;
    double norm = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      if (!counts(i)) continue;
      const double g = gradient[i] + decay[i] * p[i];
      way += (p[i] - start[i]) * (p[i] - start[i]);
      norm += start[i] * start[i];
      squares += g * g;
    }
    d = std::max({d, std::sqrt(way), kD0 * (1 + std::sqrt(norm))});
    for (size_t i = 0; i < p.size(); ++i) {
      p[i] -= lr * factor[i] * d / std::sqrt(squares + 1e-8) * (gradient[i] + decay[i] * p[i]);
    }
  }

  void Step(int64_t t, double lr, const Doubles& g) {
    if (optimizer == "prodigy") return Prodigy(t, lr, g);
    if (optimizer == "d_adapt_adam") return DAdaptAdam(t, lr, g);
    Dog(t, lr, g);
  }
};

// Three tensors that decay by 0.1, 0 and 0.02, at the rate times 1, `of_b` and `of_c`.
void ExpectOneDistance(const std::string& optimizer, double of_b, double of_c) {
  SCOPED_TRACE(absl::StrCat(optimizer, " ", of_b, " ", of_c));
  Trainer trainer(MakeLayout({40, 8, 24}),
                  absl::StrCat(optimizer, " { initial_distance: ", RateFreeReference::kD0,
                               " } weight_decay: 0.1"),
                  {absl::StrCat("pattern: 'b' weight_decay: 0 learning_rate_factor: ", of_b),
                   absl::StrCat("pattern: 'c' weight_decay: 0.02 learning_rate_factor: ", of_c)});
  const Values first = trainer.parameters();
  RateFreeReference reference;
  reference.optimizer = optimizer;
  reference.p.assign(first.begin(), first.end());
  reference.start = reference.p;
  for (Doubles* const zeros : {&reference.m, &reference.v, &reference.s}) zeros->assign(72, 0);
  for (size_t i = 0; i < 72; ++i) {
    reference.decay.push_back(i < 40 ? 0.1 : i < 48 ? 0 : 0.02);
    reference.factor.push_back(i < 40 ? 1 : i < 48 ? of_b : of_c);
  }
  for (int step = 0; step < 100; ++step) {
    // Of a bowl, so that the distance grows.
    Values gradient = trainer.parameters();
    for (size_t i = 0; i < gradient.size(); ++i) gradient[i] -= i % 2 == 0 ? 2.0F : -3.0F;
    Doubles same(gradient.begin(), gradient.end());
    trainer.Step(gradient, 1);
    reference.Step(step + 1, 1, same);
    ASSERT_EQ(trainer.kept().size(), 2U);
    ASSERT_NEAR(trainer.kept()[0], reference.d, 2e-4 * reference.d) << step;
    for (size_t i = 0; i < gradient.size(); ++i) {
      const double expected = reference.p[i];
      ASSERT_NEAR(static_cast<double>(trainer.parameters()[i]), expected,
                  2e-4 * std::abs(expected - reference.start[i]) + 2e-6)
          << "step " << step << " element " << i;
    }
  }
  EXPECT_GT(reference.d, 10 * RateFreeReference::kD0) << "the distance has not grown";
}

TEST(SharedGroupsReferenceTest, RateFreeMethodsHaveOneDistanceWhateverGroupsDecay) {
  for (const char* const optimizer : {"prodigy", "d_adapt_adam", "dog"}) {
    ExpectOneDistance(optimizer, 1, 1);
  }
}

TEST(SharedGroupsReferenceTest, TheDistanceFollowsTheLargestRateAndLeavesOutWhatStandsStill) {
  for (const char* const optimizer : {"prodigy", "d_adapt_adam", "dog"}) {
    ExpectOneDistance(optimizer, 0.5, 1);
    ExpectOneDistance(optimizer, 2, 0);
  }
}

}  // namespace
}  // namespace gradd
