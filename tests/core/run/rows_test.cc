// Pushes of some rows of a tensor.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/optim/optimizer_factory.h"
#include "core/run/run.h"
#include "tests/core/optim/optimizer_table.h"
#include "tests/support/trainee.h"

namespace gradd {
namespace {

using Values = std::vector<float>;
using Rows = std::vector<uint32_t>;

v1::Run ParseRun(const std::string& text) {
  v1::Run spec;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &spec)) << text;
  return spec;
}

std::vector<OptimizerCase> LazyTable() {
  std::vector<OptimizerCase> lazy;
  for (const OptimizerCase& row : OptimizerTable()) {
    v1::Optimizer spec;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(row.spec, &spec));
    if ((*MakeOptimizer(spec))->lazy()) lazy.push_back(row);
  }
  return lazy;
}

// The problem of tests/golden/generate.py.
constexpr size_t kRows = 6;
constexpr size_t kWidth = 3;

Rows RowsOfStep(size_t step) {
  Rows rows;
  for (size_t row = 0; row < kRows; ++row) {
    if (row == step % kRows || (step * (row + 2) + row) % 4 == 0) {
      rows.push_back(static_cast<uint32_t>(row));
    }
  }
  return rows;
}

double GradientOf(double p, size_t element, size_t step) {
  const auto i = static_cast<double>(element % 8);
  const double center = (element % 2 == 0 ? 1 : -1) * (0.5 + 0.2 * i);
  return 0.2 * (i + 1) * (p - center) +
         0.1 * std::sin(0.7 * static_cast<double>(step) + static_cast<double>(element));
}

v1::Run ProblemSpec(const OptimizerCase& row) {
  v1::Run spec = ParseRun(
      "layout { tensors { name: 'w' shape: [6, 3] } } policy { synchronous { workers: 1 } }");
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(row.spec, spec.mutable_optimizer()));
  spec.mutable_schedule()->set_learning_rate(row.learning_rate);
  return spec;
}

Values StepOn(Trainee* trainee, size_t step) {
  const Values p = trainee->parameters();
  const Rows rows = RowsOfStep(step);
  Values gradient;
  for (const size_t row : rows) {
    for (size_t i = row * kWidth; i < (row + 1) * kWidth; ++i) {
      gradient.push_back(static_cast<float>(GradientOf(static_cast<double>(p[i]), i, step)));
    }
  }
  trainee->Push(0, {{0, gradient, kRows * kWidth, rows}});
  return trainee->parameters();
}

class RowsTableTest : public testing::TestWithParam<OptimizerCase> {};

TEST_P(RowsTableTest, FollowsTheReferenceOfEachRowAlone) {
  const OptimizerCase& row = GetParam();
  Trainee trainee(ProblemSpec(row));
  std::vector<std::vector<double>> p(kRows, std::vector<double>(kWidth));
  std::vector<std::vector<std::vector<double>>> state(kRows);
  for (size_t step = 0; step < 1000; ++step) {
    const Values actual = StepOn(&trainee, step);
    for (const size_t r : RowsOfStep(step)) {
      std::vector<double> gradient;
      for (size_t i = 0; i < kWidth; ++i) {
        gradient.push_back(GradientOf(p[r][i], r * kWidth + i, step));
      }
      row.reference.Step(static_cast<int64_t>(step) + 1, row.learning_rate, 0, gradient, &p[r],
                         &state[r]);
    }
    for (size_t i = 0; i < actual.size(); ++i) {
      const double expected = p[i / kWidth][i % kWidth];
      const double bound = 1e-6 * std::max(std::abs(expected), 1.0);
      ASSERT_NEAR(actual[i], expected, bound) << "step " << step << " element " << i;
    }
  }
}

TEST_P(RowsTableTest, RowsThatAreNotPushedStayAsTheyAreWithAllTheirSlots) {
  v1::Run spec = ProblemSpec(GetParam());
  spec.mutable_layout()->mutable_tensors(0)->mutable_initializer()->mutable_uniform()->set_high(1);
  Trainee trainee(spec);
  for (size_t step = 0; step < 10; ++step) StepOn(&trainee, step);
  const auto before = trainee.TakeSnapshot();
  const Values parameters = trainee.parameters();
  trainee.Push(0, {{0, Values(2 * kWidth, 0.5F), kRows * kWidth, {1, 4}}});
  const auto after = trainee.TakeSnapshot();
  const auto compare = [](const BlockRef& old, const BlockRef& now, const char* what) {
    for (size_t i = 0; i < kRows * kWidth; ++i) {
      const size_t row = i / kWidth;
      if (row != 1 && row != 4) {
        EXPECT_EQ(old.data()[i], now.data()[i]) << what << " " << i;
      }
    }
  };
  compare(before->parameters[0], after->parameters[0], "parameter");
  for (size_t slot = 0; slot < before->slots.size(); ++slot) {
    compare(before->slots[slot].blocks[0], after->slots[slot].blocks[0], "slot");
  }
  EXPECT_NE(parameters[4], trainee.parameters()[4]);
}

TEST_P(RowsTableTest, AllRowsAreWhatAWholeTensorIs) {
  Trainee rows(ProblemSpec(GetParam()));
  Trainee whole(ProblemSpec(GetParam()));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int step = 0; step < 20; ++step) {
    Values gradient(kRows * kWidth);
    for (float& g : gradient) g = normal(random);
    rows.Push(0, {{0, gradient, kRows * kWidth, {0, 1, 2, 3, 4, 5}}});
    whole.Push(0, {{0, gradient, 0, {}}});
    ASSERT_EQ(rows.parameters(), whole.parameters());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, RowsTableTest, testing::ValuesIn(LazyTable()),
                         [](const auto& param) { return param.param.name; });

TEST(RowsTest, TheOptimizersThatTheDocumentationNamesAreLazy) {
  std::vector<std::string> lazy;
  for (const char* const kind : {"sgd", "momentum", "ada_grad", "ada_delta", "rms_prop", "adam",
                                 "adam_w", "ams_grad", "ftrl"}) {
    v1::Optimizer spec;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(std::string(kind) + " {}", &spec));
    EXPECT_TRUE((*MakeOptimizer(spec))->lazy()) << kind;
    spec.mutable_look_ahead();
    EXPECT_FALSE((*MakeOptimizer(spec))->lazy()) << kind;
  }
}

class RowsGoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(RowsGoldenTest, FollowsTorchOverAThousandSteps) {
  std::ifstream file(GRADD_GOLDEN "/rows.json");
  const nlohmann::json golden = nlohmann::json::parse(file);
  const std::vector<OptimizerCase>& table = OptimizerTable();
  const auto row = std::find_if(table.begin(), table.end(),
                                [](const auto& other) { return other.name == GetParam(); });
  ASSERT_NE(row, table.end());
  Trainee trainee(ProblemSpec(*row));
  for (size_t step = 0; step < 1000; ++step) {
    const Values actual = StepOn(&trainee, step);
    if ((step + 1) % 100 != 0) continue;
    const auto& expected = golden[GetParam()][step / 100];
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      const auto value = expected[i].get<double>();
      ASSERT_NEAR(actual[i], value, 1e-5 * std::abs(value)) << "step " << step << " element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Torch, RowsGoldenTest, testing::Values("sgd", "ada_grad", "adam"),
                         [](const auto& param) { return std::string(param.param); });

// An embedding of 500 rows of 30, a frozen tensor, a matrix for Muon, and a bias.
const char kModel[] = R"(
    layout {
      tensors { name: 'embedding' shape: [500, 30] initializer { uniform { low: -1 high: 1 } } }
      tensors { name: 'frozen' shape: [70, 3] initializer { constant: 2 } }
      tensors { name: 'matrix' shape: [60, 50] initializer { uniform { low: -1 high: 1 } } }
      tensors { name: 'bias' shape: [77] }
    }
    groups { pattern: 'frozen' frozen: true }
    groups { pattern: 'matrix' optimizer { muon {} } }
    schedule { learning_rate: 0.1 }
    policy { synchronous { workers: 2 } })";
constexpr int64_t kFrozenAt = 500 * 30;
constexpr int64_t kMatrixAt = kFrozenAt + 70 * 3;
constexpr int64_t kBiasAt = kMatrixAt + 60 * 50;
constexpr int64_t kModelElements = kBiasAt + 77;

// A push of some rows of all tensors but the bias, of which it has all; or the same with zeros for
// the rows that are missing.
std::vector<Part> RandomPush(std::mt19937* random, bool with_zeros) {
  std::normal_distribution<float> normal;
  const auto some = [&](int64_t offset, uint32_t rows, size_t width) {
    Part part;
    part.offset = offset;
    part.tensor_elements = with_zeros ? 0 : static_cast<int64_t>(rows * width);
    for (uint32_t row = 0; row < rows; ++row) {
      const bool there = (*random)() % 4 == 0;
      if (there) part.rows.push_back(row);
      for (size_t i = 0; i < width; ++i) {
        const float value = normal(*random);
        if (there || with_zeros) part.values.push_back(there ? value : 0);
      }
    }
    if (with_zeros) part.rows.clear();
    return part;
  };
  std::vector<Part> parts = {some(0, 500, 30), some(kFrozenAt, 70, 3), some(kMatrixAt, 60, 50)};
  Values bias(77);
  for (float& value : bias) value = normal(*random);
  parts.push_back({kBiasAt, bias, 0, {}});
  return parts;
}

struct Outcome {
  Values parameters;
  v1::RunProgress progress;
};

Outcome Train(const std::string& optimizer, bool with_zeros, int64_t block_elements, int threads) {
  v1::Run spec = ParseRun(kModel);
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(optimizer, spec.mutable_optimizer()));
  Trainee trainee(spec, block_elements, threads);
  std::mt19937 random(7);
  for (int step = 0; step < 5; ++step) {
    trainee.Push(0, RandomPush(&random, with_zeros), /*examples=*/3);
    trainee.Push(1, RandomPush(&random, with_zeros), /*examples=*/1);
  }
  return {trainee.parameters(), trainee.run()->Progress()};
}

TEST(RowsTest, RowsAreZerosElsewhereWhereThatMakesNoDifference) {
  // SGD does nothing without a gradient; Muon is not lazy. The norm is a sum in another order.
  for (const char* const optimizer : {"sgd {}", "sgd {} clip_by_global_norm: 1",
                                      "sgd {} clip_by_tensor_norm: 1 clip_by_value: 0.01"}) {
    const Outcome rows = Train(optimizer, /*with_zeros=*/false, 2 * kTileElements, 2);
    const Outcome zeros = Train(optimizer, /*with_zeros=*/true, 2 * kTileElements, 2);
    for (size_t i = 0; i < rows.parameters.size(); ++i) {
      ASSERT_NEAR(rows.parameters[i], zeros.parameters[i], 1e-6) << optimizer << " " << i;
    }
    const v1::RunProgress& a = rows.progress;
    const v1::RunProgress& b = zeros.progress;
    EXPECT_GT(a.gradient_norm(), 0);
    EXPECT_NEAR(a.gradient_norm(), b.gradient_norm(), 1e-6 * b.gradient_norm()) << optimizer;
    EXPECT_NEAR(a.update_norm(), b.update_norm(), 1e-6 * b.update_norm()) << optimizer;
    EXPECT_NEAR(a.parameter_norm(), b.parameter_norm(), 1e-6 * b.parameter_norm()) << optimizer;
  }
}

TEST(RowsTest, TheBitsDependNeitherOnThreadsNorOnBlocks) {
  for (const char* const optimizer : {"adam {}", "ada_grad {} clip_by_global_norm: 0.1"}) {
    const Values reference = Train(optimizer, false, 64 * kTileElements, 1).parameters;
    EXPECT_EQ(Train(optimizer, false, kTileElements, 2).parameters, reference);
    EXPECT_EQ(Train(optimizer, false, 3 * kTileElements, 3).parameters, reference);
  }
}

TEST(RowsTest, OptimizersThatAreNotLazyTakeZeros) {
  for (const char* const optimizer :
       {"lion {}", "lamb {}", "adam {} look_ahead {}", "adam {} centralize_gradient: true"}) {
    const Outcome rows = Train(optimizer, /*with_zeros=*/false, kTileElements, 2);
    const Outcome zeros = Train(optimizer, /*with_zeros=*/true, kTileElements, 2);
    EXPECT_EQ(rows.parameters, zeros.parameters) << optimizer;
  }
}

TEST(RowsTest, OnlyBlocksWithRowsAreReplaced) {
  v1::Run spec = ParseRun(R"(layout { tensors { name: 'w' shape: [64, 512] } }
                          optimizer { adam {} } schedule { learning_rate: 0.1 }
                          policy { synchronous { workers: 1 } })");
  Trainee trainee(spec, kTileElements);
  const auto before = trainee.TakeSnapshot();
  trainee.Push(0, {{0, Values(2 * 512, 1), 64 * 512, {9, 40}}});
  const auto after = trainee.TakeSnapshot();
  for (size_t block = 0; block < before->parameters.size(); ++block) {
    const bool touched = block == 9 / 4 || block == 40 / 4;
    EXPECT_EQ(before->parameters[block].data() != after->parameters[block].data(), touched)
        << block;
    EXPECT_EQ(before->slots[1].blocks[block].data() != after->slots[1].blocks[block].data(),
              touched)
        << block;
  }
  // What the first snapshot holds is as it was.
  EXPECT_EQ(ValuesOf(*before), Values(64 * 512));
  Values expected(64 * 512);
  std::fill_n(expected.begin() + 9 * 512, 512, -0.1F);
  std::fill_n(expected.begin() + 40 * 512, 512, -0.1F);
  const Values actual = ValuesOf(*after);
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 1e-6) << i;
}

TEST(RowsTest, APushOfNoRowsIsAStepThatChangesNothing) {
  Trainee trainee(
      ParseRun(R"(layout { tensors { name: 'w' shape: [6, 3] initializer { constant: 3 } } }
                           optimizer { adam {} weight_decay: 0.5 } schedule { learning_rate: 0.1 }
                           policy { synchronous { workers: 1 } })"));
  trainee.Push(0, {{0, {}, 18, {}}});
  EXPECT_EQ(trainee.parameters(), Values(18, 3));
  EXPECT_EQ(trainee.run()->Progress().step(), 1);
  EXPECT_NEAR(trainee.run()->Progress().parameter_norm(), 3 * std::sqrt(18), 1e-6);
  EXPECT_EQ(trainee.run()->Progress().update_norm(), 0);
}

TEST(RowsTest, NormsGoOnBetweenStepsOfRowsAndOfWholeTensors) {
  Trainee trainee(
      ParseRun(R"(layout { tensors { name: 'w' shape: [4, 2] initializer { constant: 1 } } }
                           optimizer { sgd {} } schedule { learning_rate: 1 }
                           policy { synchronous { workers: 1 } })"));
  const auto norm = [&trainee] { return trainee.run()->Progress().parameter_norm(); };
  trainee.Push(0, {{0, {1, 2}, 8, {1}}});  // 1 1  0 -1  1 1  1 1
  EXPECT_NEAR(norm(), std::sqrt(7), 1e-6);
  trainee.Push(0, {{0, Values(8, 1), 0, {}}});  // 0 0  -1 -2  0 0  0 0
  EXPECT_NEAR(norm(), std::sqrt(5), 1e-6);
  trainee.Push(0, {{0, {3, 4, 5, 6}, 8, {1, 3}}});  // 0 0  -4 -6  0 0  -5 -6
  EXPECT_NEAR(norm(), std::sqrt(16 + 36 + 25 + 36), 1e-6);
  EXPECT_NEAR(trainee.run()->Progress().gradient_norm(), std::sqrt(9 + 16 + 25 + 36), 1e-6);
}

TEST(RowsTest, TheNormIsRightAgainAfterAParameterThatWasHuge) {
  Trainee trainee(
      ParseRun(R"(layout { tensors { name: 'w' shape: [4, 2] initializer { constant: 1 } } }
                           optimizer { sgd {} } schedule { learning_rate: 1 }
                           policy { synchronous { workers: 1 } })"));
  const auto norm = [&trainee] { return trainee.run()->Progress().parameter_norm(); };
  trainee.Push(0, {{0, {-1e20F, 0}, 8, {1}}});
  EXPECT_NEAR(norm(), 1e20, 1e14);
  trainee.Push(0, {{0, {1e20F, 0}, 8, {1}}});  // 1 1  0 1  1 1  1 1
  trainee.Push(0, {{0, {1, 1}, 8, {3}}});      // 1 1  0 1  1 1  0 0
  EXPECT_NEAR(norm(), std::sqrt(5), 1e-6);
}

}  // namespace
}  // namespace gradd
