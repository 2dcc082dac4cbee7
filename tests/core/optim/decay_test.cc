// Averages and sums that fade keep their precision, whatever their decay: what is left of a huge
// gradient is as exact as what small ones add to it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/optim/optimizer.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/core/optim/optimizer_vectors.h"

namespace gradd {
namespace {

using Numbers = std::vector<double>;
using State = std::vector<Numbers>;

constexpr double kLoss = 10;

double RelativeError(double value, double expected) {
  return value == expected ? 0 : std::abs(value - expected) / std::abs(expected);
}

// What a step adds to a parameter, which is 0 before each: a float32 holds all of it.
struct Changes {
  Values values;
  Numbers expected;
  // The largest relative error that the reference gets of it where its own state is rounded to
  // float32 after each step: more than a rounding where large numbers nearly cancel, as they do in
  // the sums of some methods.
  double grown = 0;
};

// Of the reference.
class Follower {
 public:
  Follower(const OptimizerCase& row, bool rounds) : row_(row), rounds_(rounds) {}

  Numbers Step(size_t step, const Values& gradient) {
    Numbers p(gradient.size(), 0);
    row_.reference.Step(static_cast<int64_t>(step) + 1, row_.learning_rate, kLoss,
                        {gradient.begin(), gradient.end()}, &p, &state_);
    if (!rounds_) return p;
    for (Numbers& numbers : state_) {
      for (double& number : numbers) number = static_cast<double>(static_cast<float>(number));
    }
    return p;
  }

 private:
  const OptimizerCase& row_;
  const bool rounds_;
  State state_;
};

// Trains `row` on `gradients`; visit(step, changes) for each step.
template <typename Visit>
void Follow(const OptimizerCase& row, const std::vector<Values>& gradients, const Visit& visit) {
  const std::unique_ptr<Optimizer> optimizer = Make(row.spec);
  const size_t size = gradients.front().size();
  Vectors vectors(optimizer.get(), Values(size, 0));
  Follower exact(row, /*rounds=*/false);
  Follower rounded(row, /*rounds=*/true);
  for (size_t step = 0; step < gradients.size(); ++step) {
    vectors.parameters().assign(size, 0);
    vectors.Step(static_cast<int64_t>(step), row.learning_rate, gradients[step], kLoss);
    Changes changes = {vectors.parameters(), exact.Step(step, gradients[step])};
    const Numbers values = rounded.Step(step, gradients[step]);
    for (size_t i = 0; i < size; ++i) {
      changes.grown = std::max(changes.grown, RelativeError(values[i], changes.expected[i]));
    }
    visit(step, changes);
  }
}

// Of `size` elements: huge ones, with small ones of both signs and all magnitudes after them.
std::vector<Values> HugeAndSmall(size_t size) {
  constexpr std::array kMagnitudes = {1e6F,  100.0F, 30.0F, -50.0F, 0.5F,  1e-3F, -0.25F,
                                      1e6F,  -2e6F,  40.0F, -7.0F,  1e-2F, 1.0F,  2.0F,
                                      -3e5F, 11.0F,  -0.1F, 0.03F,  1e-4F, 5.0F};
  std::vector<Values> gradients;
  for (const float magnitude : kMagnitudes) {
    Values& gradient = gradients.emplace_back(size);
    for (size_t i = 0; i < size; ++i) {
      const auto part = static_cast<float>(i + 1);
      gradient[i] = magnitude * (1 + 0.37F * part) * (i % 3 == 1 ? -1.0F : 1.0F);
    }
  }
  return gradients;
}

class DecayTest : public testing::TestWithParam<size_t> {};

TEST_P(DecayTest, SmallGradientsAfterHugeOnesCountAsInDouble) {
  const std::vector<Values> gradients = HugeAndSmall(GetParam());
  for (const OptimizerCase& row : DecayTable()) {
    SCOPED_TRACE(row.spec);
    Follow(row, gradients, [&](size_t step, const Changes& changes) {
      double largest = 0;
      for (const double value : changes.expected) largest = std::max(largest, std::abs(value));
      const bool of_products = TestShape(GetParam()).is_matrix() && row.step_error > 1e-6;
      for (size_t i = 0; i < changes.values.size(); ++i) {
        const double expected = changes.expected[i];
        const double bound = of_products ? row.step_error * largest
                                         : (1e-5 + 10 * changes.grown) * std::abs(expected);
        EXPECT_NEAR(changes.values[i], expected, bound) << "step " << step << " element " << i;
      }
    });
  }
}

// A matrix, and a vector with a rest beside the lanes.
INSTANTIATE_TEST_SUITE_P(Sizes, DecayTest, testing::Values(8, 23));

TEST(DecayTableTest, HasEveryMethodWithADecay) {
  // Whose fields of these names mean something else.
  const std::set<std::string> other = {"asgd", "ftrl", "optimistic_gradient"};
  const std::set<std::string> names = {"beta", "beta1", "beta2", "beta3", "decay", "momentum"};
  std::set<std::string> tried;
  for (const OptimizerCase& row : DecayTable())
    tried.insert(row.spec.substr(0, row.spec.find(' ')));
  for (const OptimizerCase& row : OptimizerTable()) {
    const v1::Optimizer spec = SpecOf(row.spec);
    const auto* const kind = spec.GetReflection()->GetOneofFieldDescriptor(
        spec, v1::Optimizer::descriptor()->FindOneofByName("kind"));
    if (other.count(kind->name()) > 0) continue;
    for (int i = 0; i < kind->message_type()->field_count(); ++i) {
      if (names.count(kind->message_type()->field(i)->name()) == 0) continue;
      EXPECT_THAT(tried, testing::Contains(kind->name()));
    }
  }
}

// The example that showed it: 1e-3 / (sqrt(1e4) + epsilon) * 100, twice.
TEST(AdamTest, WithoutASecondMomentFromBeforeAHugeGradientIsForgotten) {
  const std::unique_ptr<Optimizer> optimizer = Make("adam { beta1: 0 beta2: 0 }");
  Vectors vectors(optimizer.get(), {0});
  vectors.Step(0, 1e-3, {1e6F});
  vectors.Step(1, 1e-3, {100});
  EXPECT_FLOAT_EQ(vectors.parameters()[0], -2e-3F);
  EXPECT_EQ(vectors.slots()[0][0], 100);
  EXPECT_EQ(vectors.slots()[1][0], 1e4F);
}

// Averages of parameters, where only the last ones count, are these to the bit.
TEST(AveragesTest, WhatKeepsNothingIsTheLastValue) {
  const auto slot_is_parameters = [](const std::string& spec, size_t slot) {
    SCOPED_TRACE(spec);
    const std::unique_ptr<Optimizer> optimizer = Make(spec);
    Vectors vectors(optimizer.get(), {1e6F, -3});
    for (int step = 0; step < 5; ++step) {
      vectors.Step(step, 0.37, {step == 2 ? 2.7e6F : 0.1F, -0.7F});
      EXPECT_EQ(vectors.slots()[slot], vectors.parameters());
    }
  };
  slot_is_parameters("asgd { decay: 0.01 }", 0);
  slot_is_parameters("sgd {} parameter_average { decay: 0 }", 0);
  slot_is_parameters("sgd {} look_ahead { interval: 1 alpha: 1 }", 0);
  slot_is_parameters("schedule_free_sgd { beta: 1 }", 0);  // The point at which workers train.
}

}  // namespace
}  // namespace gradd
