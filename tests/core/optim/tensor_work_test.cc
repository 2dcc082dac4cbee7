#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/optim/optimizer_factory.h"
#include "tests/core/optim/work_in_place.h"

namespace gradd {
namespace {

using testing::ElementsAre;

// Adds all gradients so far, and `offset` for each.
class Accumulate final : public TensorTransform {
 public:
  explicit Accumulate(std::string name, float offset = 0)
      : name_(std::move(name)), offset_(offset) {}
  std::vector<TensorStateSpec> State(const TensorShape& shape) const override {
    return {{name_, shape.elements(), offset_}};
  }
  void Transform(const StepInput& /*input*/, const TensorShape& shape,
                 const Vectors& vectors) const override {
    for (int64_t i = 0; i < shape.elements(); ++i) {
      vectors.result[i] = vectors.state[0][i] += vectors.gradient[i];
    }
  }

 private:
  const std::string name_;
  const float offset_;
};

std::vector<float> Step(WorkInPlace* work, const std::vector<float>& gradient) {
  work->Transform({}, gradient, gradient);
  return {work->result(), work->result() + gradient.size()};
}

TEST(TensorWorkTest, TransformsOneAfterTheOtherEachWithItsOwnState) {
  const Accumulate first("first");
  const Accumulate second("second", 100);
  WorkInPlace work({{2}}, {&first, &second});
  EXPECT_THAT(Step(&work, {1, 2}), ElementsAre(101, 102));
  EXPECT_THAT(Step(&work, {1, 2}), ElementsAre(103, 106));
  EXPECT_EQ(work.work().bytes(), 4 * (2 + 2) + 2 * 4);
}

TEST(TensorWorkTest, GoesOnWithWhatHasTheSameNameAndLength) {
  const Accumulate old("sum");
  WorkInPlace before({{2}}, {&old});
  Step(&before, {1, 2});

  WorkInPlace same({{2}}, {&old});
  EXPECT_TRUE(same.work().ContinuesAll(before.work()));
  same.work().Continue(before.work());
  EXPECT_THAT(Step(&same, {1, 2}), ElementsAre(2, 4));

  const Accumulate renamed("other");
  WorkInPlace other({{2}}, {&renamed});
  EXPECT_FALSE(other.work().ContinuesAll(before.work()));
  other.work().Continue(before.work());
  EXPECT_THAT(Step(&other, {1, 2}), ElementsAre(1, 2));
}

// Each matrix of the last two dimensions is factored by itself, as torch.optim.Adafactor does; the
// clipping and the scale are the whole tensor's.
TEST(AdafactorTest, FactorsTheLastTwoDimensions) {
  constexpr size_t kBatch = 6;
  constexpr size_t kRows = 4;
  constexpr size_t kColumns = 5;
  constexpr size_t kSize = kBatch * kRows * kColumns;
  v1::Optimizer spec;
  spec.mutable_adafactor();
  const std::unique_ptr<Optimizer> optimizer = *MakeOptimizer(spec);
  WorkInPlace work({{2, 3, kRows, kColumns}}, optimizer->transforms());
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<double> row(kBatch * kRows);
  std::vector<double> column(kBatch * kColumns);
  for (int64_t step = 0; step < 3; ++step) {
    std::vector<float> g(kSize);
    const std::vector<float> p(kSize, 0.5F);
    for (float& value : g) value = normal(random);
    work.Transform({step, 0.01, 0}, g, p);
    const double take = std::pow(static_cast<double>(step + 1), -0.8);
    std::vector<double> u(kSize);
    double squares = 0;
    for (size_t b = 0; b < kBatch; ++b) {
      const auto square = [&](size_t r, size_t c) {
        const auto value = static_cast<double>(g[(b * kRows + r) * kColumns + c]);
        return value * value;
      };
      double mean_row = 0;
      for (size_t r = 0; r < kRows; ++r) {
        double mean = 0;
        for (size_t c = 0; c < kColumns; ++c) mean += square(r, c) / kColumns;
        double& average = row[b * kRows + r];
        average += take * (mean - average);
        mean_row += average / kRows;
      }
      for (size_t c = 0; c < kColumns; ++c) {
        double mean = 0;
        for (size_t r = 0; r < kRows; ++r) mean += square(r, c) / kRows;
        double& average = column[b * kColumns + c];
        average += take * (mean - average);
      }
      for (size_t r = 0; r < kRows; ++r) {
        for (size_t c = 0; c < kColumns; ++c) {
          const size_t i = (b * kRows + r) * kColumns + c;
          u[i] = static_cast<double>(g[i]) /
                 std::sqrt(row[b * kRows + r] * column[b * kColumns + c] / mean_row);
          squares += u[i] * u[i];
        }
      }
    }
    const double rate = 0.5 * 0.01 / std::max(1.0, std::sqrt(squares / kSize));
    for (size_t i = 0; i < kSize; ++i) {
      ASSERT_NEAR(work.result()[i], rate * u[i], 1e-6 * rate + 2e-6 * std::abs(rate * u[i]));
    }
  }
}

}  // namespace
}  // namespace gradd
