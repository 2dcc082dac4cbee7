#include "core/store/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <limits>
#include <string>

#include "core/base/error.h"

namespace gradd {
namespace {

using testing::HasSubstr;

constexpr int64_t kMax = 1'000'000;

v1::Layout Tensors(
    std::initializer_list<std::pair<const char*, std::initializer_list<int64_t>>> tensors) {
  v1::Layout layout;
  for (const auto& [name, shape] : tensors) {
    v1::Tensor& tensor = *layout.add_tensors();
    tensor.set_name(name);
    for (const int64_t dimension : shape) tensor.add_shape(dimension);
  }
  return layout;
}

absl::Status StatusOf(const v1::Layout& layout) { return Layout::Create(layout, kMax).status(); }

TEST(LayoutTest, CountsElementsOfAllTensors) {
  EXPECT_EQ(
      Layout::Create(Tensors({{"w", {3, 4}}, {"b", {4}}, {"scale", {}}}), kMax)->element_count(),
      17);
}

TEST(LayoutTest, FindsTheTensorOfAnElementAndItsRows) {
  const Layout layout =
      *Layout::Create(Tensors({{"w", {3, 2, 2}}, {"scale", {}}, {"b", {4}}}), kMax);
  for (int64_t element = 0; element < 17; ++element) {
    const Layout::Place place = layout.TensorAt(element);
    const bool in_w = element < 12;
    EXPECT_EQ(place.begin, in_w ? 0 : element == 12 ? 12 : 13);
    EXPECT_EQ(place.end, in_w ? 12 : element == 12 ? 13 : 17);
    EXPECT_EQ(place.row_elements, in_w ? 4 : 1);
  }
}

TEST(LayoutTest, RefusesNamesThatFilesHaveForOtherThings) {
  for (const char* const name : {"__metadata__", "optimizer/momentum/w", "window/w"}) {
    EXPECT_THAT(std::string(StatusOf(Tensors({{name, {1}}})).message()),
                HasSubstr("keep `__metadata__` and the names that begin with `optimizer/` or "
                          "`window/` for their own"));
  }
  EXPECT_TRUE(StatusOf(Tensors({{"optimizer", {1}}, {"my_window/w", {1}}})).ok());
}

TEST(LayoutTest, RefusesAnEmptyModel) {
  EXPECT_THAT(StatusOf({}).message(), HasSubstr("empty, at least one tensor expected"));
}

TEST(LayoutTest, RefusesSizesThatOverflow) {
  EXPECT_EQ(StatusOf(Tensors({{"w", {int64_t{1} << 40}}})).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(StatusOf(Tensors({{"w", {int64_t{1} << 40, int64_t{1} << 40}}})).code(),
            absl::StatusCode::kResourceExhausted);
  const int64_t max = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(StatusOf(Tensors({{"w", {max, max, max}}})).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(StatusOf(Tensors({{"a", {kMax}}, {"b", {1}}})).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(StatusOf(Tensors({{"a", {kMax - 1}}, {"b", {1}}})).ok());
}

TEST(LayoutTest, NamesTheTensorAndWhatIsWrongWithIt) {
  EXPECT_THAT(StatusOf(Tensors({{"w", {3, 0}}})).message(),
              HasSubstr("layout.tensors[0] \"w\".shape: [3, 0] has a dimension of 0"));
  EXPECT_THAT(StatusOf(Tensors({{"w", {3, -1}}})).message(), HasSubstr("a dimension of -1"));
  EXPECT_THAT(StatusOf(Tensors({{"w", {1}}, {"w", {2}}})).message(),
              HasSubstr("layout.tensors[1]: the name \"w\" is already taken"));
  EXPECT_THAT(StatusOf(Tensors({{"", {1}}})).message(), HasSubstr("a name is 1 to 256 bytes"));
  EXPECT_THAT(StatusOf(Tensors({{"a\nb", {1}}})).message(), HasSubstr("\"a\\nb\""));
  EXPECT_FALSE(StatusOf(Tensors({{std::string(257, 'x').c_str(), {1}}})).ok());
}

TEST(LayoutTest, TensorsAreBoundedByTheirNumberAndByTheSizeOfTheMessage) {
  const auto layout_of = [](int tensors, int name_bytes) {
    v1::Layout layout;
    for (int i = 0; i < tensors; ++i) {
      std::string name = std::to_string(i);
      name.resize(std::max(name.size(), static_cast<size_t>(name_bytes)), 'x');
      layout.add_tensors()->set_name(name);
    }
    return layout;
  };
  // As a framework names them: "model.layers.31.self_attn.q_proj.weight".
  EXPECT_TRUE(StatusOf(layout_of(20'000, 39)).ok());
  const v1::Layout large = layout_of(30'000, 39);
  EXPECT_EQ(
      StatusOf(large).message(),
      "layout: " + std::to_string(large.ByteSizeLong()) +
          " bytes as a message, at most 1048576 expected, so that it fits those that describe "
          "a run");
  EXPECT_TRUE(StatusOf(layout_of(100'000, 0)).ok());
  EXPECT_THAT(StatusOf(layout_of(100'001, 0)).message(),
              HasSubstr("100001 tensors, at most 100000 expected"));
}

TEST(LayoutTest, RefusesTheNamesThatCheckpointsKeepForTheirOwn) {
  for (const char* const name : {"__metadata__", "optimizer/", "optimizer/momentum/w"}) {
    EXPECT_THAT(StatusOf(Tensors({{"w", {1}}, {name, {1}}})).message(),
                HasSubstr("layout.tensors[1] \"" + std::string(name) + "\": checkpoints"));
  }
  for (const char* const name : {"__metadata", "optimizer", "optimizers/w", "w/optimizer/"}) {
    EXPECT_TRUE(StatusOf(Tensors({{name, {1}}})).ok()) << name;
  }
}

TEST(LayoutTest, RefusesInitializersThatAreNoNumbers) {
  v1::Layout layout = Tensors({{"w", {1}}});
  v1::Initializer& initializer = *layout.mutable_tensors(0)->mutable_initializer();
  initializer.set_constant(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(StatusOf(layout).message(), HasSubstr("initializer.constant: nan"));
  initializer.mutable_uniform()->set_low(1);
  initializer.mutable_uniform()->set_high(1);
  EXPECT_THAT(StatusOf(layout).message(), HasSubstr("[1, 1)"));
  initializer.mutable_uniform()->set_high(std::numeric_limits<float>::infinity());
  EXPECT_FALSE(StatusOf(layout).ok());
}

TEST(LayoutTest, SaysWhichTensorDiffersAndHow) {
  const auto layout = Layout::Create(Tensors({{"w", {3, 4}}, {"b", {4}}}), kMax);
  EXPECT_TRUE(layout->CheckSame(Tensors({{"w", {3, 4}}, {"b", {4}}})).ok());
  const auto message = [&](const v1::Layout& other) {
    const absl::Status status = layout->CheckSame(other);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReasonOf(status), "LAYOUT_DIFFERS");
    return std::string(status.message());
  };
  EXPECT_THAT(message(Tensors({{"w", {4, 3}}, {"b", {4}}})),
              HasSubstr("tensor 0 \"w\" has shape [4, 3], the run has [3, 4]"));
  EXPECT_THAT(message(Tensors({{"w", {3, 4}}, {"c", {4}}})),
              HasSubstr("tensor 1 is \"c\", the run has \"b\""));
  EXPECT_THAT(message(Tensors({{"w", {3, 4}}})),
              HasSubstr("tensor 1 \"b\" of the run is missing, 1 tensors were given"));
  EXPECT_THAT(message(Tensors({{"w", {3, 4}}, {"b", {4}}, {"c", {1}}})),
              HasSubstr("tensor 2 \"c\" is not in the run, which has 2 tensors"));
}

TEST(LayoutTest, InitializersDoNotMakeLayoutsDiffer) {
  const auto layout = Layout::Create(Tensors({{"w", {3}}}), kMax);
  v1::Layout other = Tensors({{"w", {3}}});
  other.mutable_tensors(0)->mutable_initializer()->set_constant(1);
  EXPECT_TRUE(layout->CheckSame(other).ok());
}

}  // namespace
}  // namespace gradd
