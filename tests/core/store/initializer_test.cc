#include "core/store/initializer.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/store/layout.h"
#include "core/store/parameter_store.h"
#include "core/store/random_value.h"

namespace gradd {
namespace {

using testing::HasSubstr;

// A layout of one tensor "w". `initializer` is in protobuf's text format.
v1::Layout LayoutOf(std::initializer_list<int64_t> shape, const std::string& initializer) {
  v1::Layout layout;
  v1::Tensor& tensor = *layout.add_tensors();
  tensor.set_name("w");
  for (const int64_t dimension : shape) tensor.add_shape(dimension);
  EXPECT_TRUE(
      google::protobuf::TextFormat::ParseFromString(initializer, tensor.mutable_initializer()));
  return layout;
}

std::vector<float> ValuesOf(const v1::Layout& message, int threads = 2,
                            int64_t block_elements = kBlockElements, uint64_t seed = 7) {
  const auto layout = Layout::Create(message, int64_t{1} << 40);
  EXPECT_TRUE(layout.ok()) << layout.status();
  ThreadPool pool(threads);
  ParameterStore store(*layout, seed, {}, &pool, block_elements);
  const auto snapshot = store.TakeSnapshot(SnapshotContents::kEvaluation);
  std::vector<float> values;
  for (const BlockRef& block : snapshot->parameters) {
    values.insert(values.end(), block.data(), block.data() + block.elements());
  }
  return values;
}

struct Moments {
  double mean = 0;
  double variance = 0;
  double kurtosis = 0;
  float least;
  float greatest;
};

Moments MomentsOf(const std::vector<float>& values) {
  Moments moments;
  const auto count = static_cast<double>(values.size());
  for (const float value : values) moments.mean += value / count;
  double fourth = 0;
  for (const float value : values) {
    const double square = (value - moments.mean) * (value - moments.mean);
    moments.variance += square / count;
    fourth += square * square / count;
  }
  moments.kurtosis = fourth / (moments.variance * moments.variance);
  moments.least = *std::min_element(values.begin(), values.end());
  moments.greatest = *std::max_element(values.begin(), values.end());
  return moments;
}

double Density(double z) { return std::exp(-z * z / 2) / std::sqrt(2 * M_PI); }
double Probability(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

void ExpectUniform(const v1::Layout& layout, double bound) {
  const Moments moments = MomentsOf(ValuesOf(layout));
  EXPECT_NEAR(moments.mean, 0, 0.01 * bound);
  EXPECT_NEAR(moments.variance, bound * bound / 3, 0.01 * bound * bound);
  EXPECT_GE(moments.least, static_cast<float>(-bound));
  EXPECT_LT(moments.greatest, static_cast<float>(bound));
  EXPECT_NEAR(moments.least, -bound, 1e-3 * bound);
  EXPECT_NEAR(moments.greatest, bound, 1e-3 * bound);
  EXPECT_EQ(LargestInitialValue(layout), static_cast<float>(bound));
}

void ExpectNormal(const v1::Layout& layout, double mean, double deviation) {
  const Moments moments = MomentsOf(ValuesOf(layout));
  EXPECT_NEAR(moments.mean, mean, 0.01 * deviation);
  EXPECT_NEAR(moments.variance, deviation * deviation, 0.02 * deviation * deviation);
  EXPECT_NEAR(moments.kurtosis, 3, 0.1);
  EXPECT_NEAR(LargestInitialValue(layout), std::abs(mean) + 9 * deviation, 1e-5);
}

TEST(InitializerTest, UniformValuesAreWhatTheyWere) {
  const std::vector<float> values = ValuesOf(LayoutOf({4}, "uniform { low: -1 high: 3 }"));
  EXPECT_THAT(values, testing::ElementsAre(1.80166972F, 1.88690972F, 0.234137163F, 0.510116458F));
}

TEST(InitializerTest, NormalValuesHaveTheMomentsOfTheirDistribution) {
  ExpectNormal(LayoutOf({300, 300}, "normal {}"), 0, 1);
  ExpectNormal(LayoutOf({90'000}, "normal { mean: -3 standard_deviation: 0.02 }"), -3, 0.02);
}

TEST(InitializerTest, TruncatedNormalValuesHaveTheMomentsOfTheirDistribution) {
  struct Case {
    const char* initializer;
    double mean, deviation, low, high;
  };
  for (const Case& c :
       {Case{"truncated_normal {}", 0, 1, -2, 2},
        Case{"truncated_normal { standard_deviation: 0.02 }", 0, 0.02, -2, 2},
        Case{"truncated_normal { mean: 1 standard_deviation: 2 low: 0 high: 1.5 }", 1, 2, 0, 1.5},
        // Where probabilities are near 1, and near 0.
        Case{"truncated_normal { low: 6 high: 7 }", 0, 1, 6, 7},
        Case{"truncated_normal { low: -7 high: -6 }", 0, 1, -7, -6}}) {
    const v1::Layout layout = LayoutOf({90'000}, c.initializer);
    const Moments moments = MomentsOf(ValuesOf(layout));
    double a = (c.low - c.mean) / c.deviation;
    double b = (c.high - c.mean) / c.deviation;
    const double sign = a > 0 ? -1 : 1;
    if (a > 0) std::tie(a, b) = std::pair(-b, -a);
    const double mass = Probability(b) - Probability(a);
    const double shift = (Density(a) - Density(b)) / mass;
    const auto moment = [](double z) { return std::abs(z) > 30 ? 0 : z * Density(z); };
    const double variance = 1 + (moment(a) - moment(b)) / mass - shift * shift;
    EXPECT_NEAR(moments.mean, c.mean + sign * c.deviation * shift,
                0.01 * c.deviation * std::sqrt(variance))
        << c.initializer;
    EXPECT_NEAR(moments.variance / (c.deviation * c.deviation * variance), 1, 0.03)
        << c.initializer;
    EXPECT_GE(moments.least, static_cast<float>(c.low)) << c.initializer;
    EXPECT_LE(moments.greatest, static_cast<float>(c.high)) << c.initializer;
    EXPECT_EQ(LargestInitialValue(layout),
              static_cast<float>(std::max(std::abs(c.low), std::abs(c.high))));
  }
}

TEST(InitializerTest, KaimingAndXavierHaveTheFansAndGainsOfTorch) {
  // A convolution: fan in 40 * 9, fan out 300 * 9.
  const std::initializer_list<int64_t> shape = {300, 40, 3, 3};
  const auto both = [&](const std::string& name, const std::string& fields, double deviation) {
    SCOPED_TRACE(name + fields);
    ExpectUniform(LayoutOf(shape, name + "_uniform {" + fields + "}"), std::sqrt(3.0) * deviation);
    ExpectNormal(LayoutOf(shape, name + "_normal {" + fields + "}"), 0, deviation);
  };
  both("kaiming", "", std::sqrt(2.0 / 360));
  both("kaiming", "fan: FAN_OUT", std::sqrt(2.0 / 2700));
  both("kaiming", "negative_slope: 2", std::sqrt(2.0 / 5 / 360));
  both("kaiming", "nonlinearity: NONLINEARITY_LINEAR", std::sqrt(1.0 / 360));
  both("kaiming", "nonlinearity: NONLINEARITY_SIGMOID", std::sqrt(1.0 / 360));
  both("kaiming", "nonlinearity: NONLINEARITY_TANH", 5.0 / 3 / std::sqrt(360.0));
  both("kaiming", "nonlinearity: NONLINEARITY_RELU fan: FAN_IN", std::sqrt(2.0 / 360));
  both("kaiming", "nonlinearity: NONLINEARITY_SELU", 0.75 / std::sqrt(360.0));
  both("xavier", "", std::sqrt(2.0 / 3060));
  both("xavier", "gain: 3", 3 * std::sqrt(2.0 / 3060));
}

// Of the rows of a matrix, or where it has fewer columns, of the columns.
void ExpectOrthogonal(const std::vector<float>& values, size_t rows, size_t columns, double gain) {
  const bool wide = rows <= columns;
  const size_t count = wide ? rows : columns;
  const size_t length = wide ? columns : rows;
  const auto at = [&](size_t vector, size_t i) {
    return static_cast<double>(wide ? values[vector * columns + i] : values[i * columns + vector]);
  };
  double worst = 0;
  for (size_t a = 0; a < count; ++a) {
    for (size_t b = 0; b <= a; ++b) {
      double product = 0;
      for (size_t i = 0; i < length; ++i) product += at(a, i) * at(b, i);
      worst = std::max(worst, std::abs(product / (gain * gain) - (a == b ? 1 : 0)));
    }
  }
  EXPECT_LT(worst, 1e-5) << rows << " x " << columns;
}

TEST(InitializerTest, OrthogonalMatricesAreOrthogonal) {
  for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{
           {1, 1}, {1, 50}, {50, 1}, {2, 2}, {31, 33}, {33, 31}, {64, 64}, {300, 70}, {97, 257}}) {
    const v1::Layout layout = LayoutOf({rows, columns}, "orthogonal { gain: 1.5 }");
    ExpectOrthogonal(ValuesOf(layout), static_cast<size_t>(rows), static_cast<size_t>(columns),
                     1.5);
    EXPECT_NEAR(LargestInitialValue(layout), 1.5, 1e-6);
  }
  ExpectOrthogonal(ValuesOf(LayoutOf({20, 3, 2, 2}, "orthogonal {}")), 20, 12, 1);
}

// R = Q^T A of the matrix A of normally distributed values that Q was made of.
TEST(InitializerTest, OrthogonalMatricesAreThoseOfAPositiveDiagonal) {
  constexpr int64_t kRows = 40;
  constexpr int64_t kColumns = 33;
  const std::vector<float> q = ValuesOf(LayoutOf({kRows, kColumns}, "orthogonal {}"));
  const std::vector<float> a = ValuesOf(LayoutOf({kRows, kColumns}, "normal {}"));
  for (size_t r = 0; r < kColumns; ++r) {
    for (size_t c = 0; c <= r; ++c) {
      double product = 0;
      for (size_t i = 0; i < kRows; ++i) {
        product += static_cast<double>(q[i * kColumns + r]) * a[i * kColumns + c];
      }
      if (r == c) {
        EXPECT_GT(product, 0.1) << r;
      } else {
        EXPECT_NEAR(product, 0, 1e-5) << r << ", " << c;
      }
    }
  }
}

v1::Layout EveryKind() {
  v1::Layout layout;
  for (const char* const initializer :
       {"normal {}", "orthogonal {}", "truncated_normal {}", "kaiming_uniform {}", "constant: 3",
        "kaiming_normal {}", "xavier_uniform {}", "xavier_normal {}", "orthogonal { gain: 2 }"}) {
    v1::Tensor& tensor = *layout.add_tensors();
    *tensor.mutable_initializer() = LayoutOf({}, initializer).tensors(0).initializer();
    tensor.set_name("w" + std::to_string(layout.tensors_size()));
    tensor.add_shape(101);
    tensor.add_shape(73);
  }
  return layout;
}

TEST(InitializerTest, ValuesDependOnSeedAndNameAloneAndNotOnThreadsAndBlocks) {
  const v1::Layout layout = EveryKind();
  const std::vector<float> values = ValuesOf(layout);
  const auto same = [&](const std::vector<float>& others) {
    return std::memcmp(values.data(), others.data(), values.size() * sizeof(float)) == 0;
  };
  EXPECT_TRUE(same(ValuesOf(layout, 1)));
  EXPECT_TRUE(same(ValuesOf(layout, 4)));
  EXPECT_TRUE(same(ValuesOf(layout, 3, kTileElements)));
  EXPECT_TRUE(same(ValuesOf(layout, 2, 3 * kTileElements)));
  EXPECT_FALSE(same(ValuesOf(layout, 2, kBlockElements, 8)));
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  EXPECT_LE(largest, LargestInitialValue(layout));
  // A tensor of the same name has the same values anywhere.
  v1::Layout moved;
  *moved.add_tensors() = layout.tensors(8);
  *moved.add_tensors() = layout.tensors(0);
  const std::vector<float> others = ValuesOf(moved);
  EXPECT_TRUE(std::equal(others.begin(), others.begin() + 101 * 73, values.end() - 101 * 73));
  EXPECT_TRUE(std::equal(others.begin() + 101 * 73, others.end(), values.begin()));
}

TEST(InitializerTest, SaysWhatScratchTheLargestOrthogonalTensorTakes) {
  EXPECT_EQ(InitialScratchSize(LayoutOf({90, 80}, "normal {}")), 0);
  v1::Layout layout = LayoutOf({90, 80}, "orthogonal {}");
  EXPECT_EQ(InitialScratchSize(layout), 90 * 80 + 80);
  *layout.add_tensors() = LayoutOf({7, 9}, "orthogonal {}").tensors(0);
  EXPECT_EQ(InitialScratchSize(layout), 90 * 80 + 80);
}

TEST(InitializerTest, RefusesWhatHasNoValues) {
  const auto message = [](std::initializer_list<int64_t> shape, const std::string& initializer) {
    const auto layout = Layout::Create(LayoutOf(shape, initializer), int64_t{1} << 40);
    return std::string(layout.status().message());
  };
  EXPECT_THAT(message({2}, "normal { mean: nan }"), HasSubstr("normal.mean: nan is not finite"));
  EXPECT_THAT(
      message({2}, "normal { standard_deviation: 0 }"),
      HasSubstr("layout.tensors[0] \"w\".initializer.normal.standard_deviation: 0, a finite "
                "number above 0 expected"));
  EXPECT_THAT(message({2}, "normal { standard_deviation: inf }"), HasSubstr("deviation: inf, a"));
  EXPECT_THAT(message({2}, "normal { standard_deviation: 1e38 }"),
              HasSubstr("normal: its values leave the range of float32"));
  EXPECT_THAT(message({2}, "truncated_normal { low: 2 }"),
              HasSubstr("truncated_normal: [2, 2] is not a finite range with low < high"));
  EXPECT_THAT(message({2}, "truncated_normal { standard_deviation: -1 }"),
              HasSubstr("truncated_normal.standard_deviation: -1, a finite"));
  EXPECT_THAT(message({2}, "truncated_normal { low: 9 high: 10 }"),
              HasSubstr("[9, 10] is farther than 8 standard deviations of 1 from the mean of 0"));
  for (const char* const kind :
       {"kaiming_uniform", "kaiming_normal", "xavier_uniform", "xavier_normal", "orthogonal"}) {
    EXPECT_THAT(
        message({5}, std::string(kind) + " {}"),
        HasSubstr(std::string(kind) + ": the shape [5] has 1 dimensions, at least 2 expected"));
    EXPECT_THAT(message({}, std::string(kind) + " {}"), HasSubstr("has 0 dimensions"));
  }
  EXPECT_THAT(message({2, 2}, "kaiming_normal { negative_slope: nan }"),
              HasSubstr("negative_slope: nan is not finite"));
  EXPECT_THAT(
      message({2, 2}, "kaiming_normal { negative_slope: 1 nonlinearity: NONLINEARITY_TANH }"),
      HasSubstr("negative_slope: 1 with NONLINEARITY_TANH, 0 expected"));
  EXPECT_THAT(message({2, 2}, "kaiming_uniform { fan: 7 }"), HasSubstr("fan: 7, FAN_IN"));
  EXPECT_THAT(message({2, 2}, "kaiming_uniform { nonlinearity: 70 }"),
              HasSubstr("nonlinearity: 70, one of"));
  EXPECT_THAT(message({2, 2}, "xavier_normal { gain: -1 }"), HasSubstr("gain: -1, a finite"));
  EXPECT_THAT(message({2, 2}, "xavier_uniform { gain: 3e38 }"), HasSubstr("leave the range"));
  EXPECT_THAT(message({2, 2}, "orthogonal { gain: 0 }"), HasSubstr("gain: 0, a finite"));
  EXPECT_THAT(message({4096, 4097}, "orthogonal {}"),
              HasSubstr("orthogonal: the shape [4096, 4097] has too many elements, at most "
                        "16777216 expected"));
}

}  // namespace
}  // namespace gradd
