#include "core/durability/weights_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/thread_pool.h"
#include "core/codec/dense.h"
#include "core/store/parameter_store.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct WeightsEntry {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;
  std::string data;
};

std::string BytesOfFloats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string WeightsOf(const std::vector<WeightsEntry>& entries,
                      const std::map<std::string, std::string>& metadata = {}) {
  SafetensorsHeader header;
  header.metadata = metadata;
  std::string data;
  for (const WeightsEntry& entry : entries) {
    header.tensors.push_back({entry.name, FindSafetensorsType(entry.type), entry.shape});
    data += entry.data;
  }
  return *FormatSafetensorsHeader(&header) + data;
}

Layout LayoutOf(const std::vector<std::pair<std::string, std::vector<int64_t>>>& tensors) {
  v1::Layout layout;
  for (const auto& [name, shape] : tensors) {
    v1::Tensor& tensor = *layout.add_tensors();
    tensor.set_name(name);
    for (const int64_t dimension : shape) tensor.add_shape(dimension);
  }
  return *Layout::Create(layout, int64_t{1} << 40);
}

std::string RefusalOf(const std::string& bytes, const Layout& layout) {
  FakeFileSystem files;
  files.SetContents("m", bytes);
  const absl::Status refused = WeightsFile::Open(&files, "m", layout).status();
  EXPECT_EQ(ReasonOf(refused), "FILE_INVALID") << refused;
  return std::string(refused.message());
}

TEST(WeightsFileTest, TensorsAreFoundByTheirNamesWhateverTheirOrderAndType) {
  FakeFileSystem files;
  // 1 and -2 in 16 bits.
  files.SetContents("m", WeightsOf({{"b", "F16", {2}, std::string("\x00\x3c\x00\xc0", 4)},
                                    {"a", "F32", {2, 2}, BytesOfFloats({3, 4, 5, 6})},
                                    {"c", "BF16", {}, std::string("\x80\x3f", 2)}}));
  const Layout layout = LayoutOf({{"a", {2, 2}}, {"b", {2}}, {"c", {}}});
  const auto weights = WeightsFile::Open(&files, "m", layout);
  ASSERT_TRUE(weights.ok()) << weights.status();
  std::vector<float> all(7);
  ASSERT_TRUE((*weights)->Fill(0, 7, all.data()).ok());
  EXPECT_THAT(all, ElementsAre(3, 4, 5, 6, 1, -2, 1));
  std::vector<float> some(3);
  for (int64_t begin = 0; begin < 5; ++begin) {
    ASSERT_TRUE((*weights)->Fill(begin, 3, some.data()).ok());
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + begin)) << begin;
  }
}

TEST(WeightsFileTest, AllThatDiffersIsInOneMessage) {
  const std::string bytes = WeightsOf({{"i", "I64", {1}, "12345678"},
                                       {"a", "F32", {4}, BytesOfFloats({1, 2, 3, 4})},
                                       {"more", "F32", {1}, BytesOfFloats({1})},
                                       {"good", "F32", {1}, BytesOfFloats({1})}});
  const std::string message =
      RefusalOf(bytes, LayoutOf({{"a", {2, 2}}, {"good", {1}}, {"missing", {3}}, {"i", {1}}}));
  EXPECT_EQ(
      message,
      "m: tensor \"a\" has shape [4], [2, 2] expected; tensor \"missing\" is missing; tensor "
      "\"i\" is of I64, F32, F16 or BF16 expected; tensor \"more\" is not in the run's layout");
}

TEST(WeightsFileTest, ALongListEnds) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors;
  for (int i = 0; i < 25; ++i) tensors.push_back({absl::StrCat("t", i), {1}});
  const std::string message = RefusalOf(WeightsOf({}), LayoutOf(tensors));
  EXPECT_THAT(message, HasSubstr("tensor \"t9\" is missing; and 15 more"));
  EXPECT_LT(message.size(), 500U);
}

TEST(WeightsFileTest, WhatIsNotFiniteIsNamed) {
  FakeFileSystem files;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  files.SetContents("m", WeightsOf({{"a", "F32", {3}, BytesOfFloats({1, 2, nan})}}));
  const auto weights = *WeightsFile::Open(&files, "m", LayoutOf({{"a", {3}}}));
  std::vector<float> values(3);
  EXPECT_TRUE(weights->Fill(0, 2, values.data()).ok());
  EXPECT_THAT(std::string(weights->Fill(1, 2, values.data()).message()),
              HasSubstr("m: tensor \"a\": element 2 is nan, a finite number expected"));
}

TEST(WeightsFileTest, OfACheckpointTheParametersAreRead) {
  FakeFileSystem files;
  const std::vector<WeightsEntry> entries = {
      {"optimizer/momentum/a", "F32", {1}, BytesOfFloats({9})},
      {"a", "F32", {1}, BytesOfFloats({7})},
      {"window/a", "F32", {1}, BytesOfFloats({8})}};
  const Layout layout = LayoutOf({{"a", {1}}});
  files.SetContents("m", WeightsOf(entries, {{"format", "gradd"}}));
  const auto weights = WeightsFile::Open(&files, "m", layout);
  ASSERT_TRUE(weights.ok()) << weights.status();
  float value = 0;
  ASSERT_TRUE((*weights)->Fill(0, 1, &value).ok());
  EXPECT_EQ(value, 7);
  EXPECT_THAT(RefusalOf(WeightsOf(entries), layout), HasSubstr("\"window/a\" is not in the run's"));
}

class WeightsWriterTest : public testing::TestWithParam<v1::Encoding> {};

TEST_P(WeightsWriterTest, WhatIsWrittenIsReadAgain) {
  const Layout layout = LayoutOf({{"a", {3, kTileElements}}, {"b", {5}}, {"c", {}}});
  v1::Layout random = layout.message();
  for (v1::Tensor& tensor : *random.mutable_tensors()) {
    tensor.mutable_initializer()->mutable_uniform()->set_high(8);
  }
  ThreadPool pool(1);
  std::optional<ParameterStore> store;
  store.emplace(*Layout::Create(random, layout.element_count()), /*seed=*/1, SlotVectors(), &pool,
                kTileElements);
  const int64_t count = layout.element_count();
  std::vector<float> expected;
  auto snapshot = store->TakeSnapshot(SnapshotContents::kEvaluation);
  for (const BlockRef& block : snapshot->parameters) {
    expected.insert(expected.end(), block.data(), block.data() + block.elements());
  }
  std::vector<std::byte> encoded(static_cast<size_t>(count) * sizeof(float));
  EncodeDense(GetParam(), expected.data(), count, encoded.data());
  DecodeDense(GetParam(), encoded.data(), count, expected.data());

  FakeFileSystem files;
  WeightsWriter::Options options;
  options.encoding = GetParam();
  options.metadata = {{"format", "pt"}};
  options.sync_bytes = 1;
  const BlockRef first = snapshot->parameters[0];
  auto writer = *WeightsWriter::Begin(&files, "m", std::move(snapshot), layout, options);
  EXPECT_FALSE(*writer->WriteSome(1));
  EXPECT_FALSE(files.OpenToRead("m").ok()) << "it is not complete";
  store.reset();
  EXPECT_TRUE(first.unique()) << "it was let go of";
  while (!*writer->WriteSome(3 * kTileElements)) {
  }
  EXPECT_EQ(writer->out_of_range(), 0);
  const auto weights = *WeightsFile::Open(&files, "m", layout);
  std::vector<float> found(static_cast<size_t>(count));
  ASSERT_TRUE(weights->Fill(0, count, found.data()).ok());
  EXPECT_TRUE(found == expected);
  EXPECT_EQ((*SafetensorsReader::Open(&files, "m"))->metadata(), options.metadata);
}

INSTANTIATE_TEST_SUITE_P(Encodings, WeightsWriterTest,
                         testing::Values(v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16,
                                         v1::ENCODING_FLOAT16));

TEST(WeightsWriterErrorsTest, OtherEncodingsAndTextsAreRefused) {
  const Layout layout = LayoutOf({{"a", {1}}});
  ThreadPool pool(1);
  const ParameterStore store(layout, 1, {}, &pool, kTileElements);
  FakeFileSystem files;
  const auto refusal = [&](const WeightsWriter::Options& options) {
    return std::string(WeightsWriter::Begin(&files, "m",
                                            store.TakeSnapshot(SnapshotContents::kEvaluation),
                                            layout, options)
                           .status()
                           .message());
  };
  WeightsWriter::Options options;
  options.encoding = v1::ENCODING_INT8;
  EXPECT_THAT(refusal(options), HasSubstr("FLOAT32, BFLOAT16 or FLOAT16 expected"));
  options = {};
  options.metadata["k"] = "\xff";
  EXPECT_THAT(refusal(options), HasSubstr("no UTF-8"));
  EXPECT_THAT(*files.List(""), ElementsAre());
  options = {};
  files.SetFault({2, EIO, /*lasting=*/false, "write"});
  auto writer = *WeightsWriter::Begin(
      &files, "m", store.TakeSnapshot(SnapshotContents::kEvaluation), layout, options);
  EXPECT_FALSE(writer->WriteSome(1000).ok());
  EXPECT_FALSE(writer->WriteSome(1000).ok()) << "an error is the end";
  writer.reset();
  EXPECT_THAT(*files.List(""), ElementsAre());
}

}  // namespace
}  // namespace gradd
