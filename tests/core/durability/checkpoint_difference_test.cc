#include "core/durability/checkpoint_difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/durability/safetensors_header.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

using testing::HasSubstr;

struct NamedValues {
  std::string name;
  std::vector<float> values;
};

void WriteTensors(FakeFileSystem* files, const std::string& path,
                  const std::vector<NamedValues>& tensors) {
  SafetensorsHeader header;
  std::string data;
  for (const NamedValues& one : tensors) {
    SafetensorsTensor tensor;
    tensor.name = one.name;
    tensor.type = FindSafetensorsType("F32");
    tensor.shape = {static_cast<int64_t>(one.values.size())};
    header.tensors.push_back(tensor);
    data.append(reinterpret_cast<const char*>(one.values.data()),
                one.values.size() * sizeof(float));
  }
  files->SetContents(path, *FormatSafetensorsHeader(&header) + data);
}

v1::Layout LayoutOf(const std::vector<NamedValues>& tensors) {
  v1::Layout layout;
  for (const NamedValues& one : tensors) {
    v1::Tensor& tensor = *layout.add_tensors();
    tensor.set_name(one.name);
    tensor.add_shape(static_cast<int64_t>(one.values.size()));
  }
  return layout;
}

bool Never() { return false; }

TEST(CheckpointDifferenceTest, NormsAreThoseOfTheChangeAndInTheOrderOfIt) {
  FakeFileSystem files;
  const std::vector<NamedValues> first = {{"a", {3, 4}}, {"b", {1, 0}}, {"c", {0}}, {"d", {5}}};
  WriteTensors(&files, "x", first);
  WriteTensors(&files, "y", {{"a", {3, 5}}, {"b", {1, 1}}, {"c", {2}}, {"d", {5}}});
  const auto found = DiffCheckpoints(&files, "x", "y", LayoutOf(first), Never);
  ASSERT_TRUE(found.ok()) << found.status();
  std::vector<std::string> order;
  for (const v1::TensorDifference& tensor : found->tensors()) order.push_back(tensor.tensor());
  EXPECT_THAT(order, testing::ElementsAre("c", "b", "a", "d"));
  EXPECT_FALSE(found->tensors(0).has_relative()) << "it was 0";
  EXPECT_EQ(found->tensors(0).difference(), 2);
  EXPECT_EQ(found->tensors(1).relative(), 1);
  EXPECT_EQ(found->tensors(2).norm(), 5);
  EXPECT_EQ(found->tensors(2).relative(), 0.2);
  EXPECT_EQ(found->tensors(3).relative(), 0);
  EXPECT_TRUE(found->tensors(3).has_relative());
  EXPECT_EQ(found->total().elements(), 6);
  EXPECT_DOUBLE_EQ(found->total().norm(), std::sqrt(51.0));
  EXPECT_DOUBLE_EQ(found->total().difference(), std::sqrt(6.0));
  EXPECT_EQ(found->tensor_count(), 4);
}

TEST(CheckpointDifferenceTest, LongTensorsAreReadInPieces) {
  FakeFileSystem files;
  const size_t size = 200'001;
  WriteTensors(&files, "x", {{"a", std::vector<float>(size, 1)}});
  WriteTensors(&files, "y", {{"a", std::vector<float>(size, 1.5F)}});
  const auto found =
      DiffCheckpoints(&files, "x", "y", LayoutOf({{"a", std::vector<float>(size)}}), Never);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_DOUBLE_EQ(found->total().norm(), std::sqrt(static_cast<double>(size)));
  EXPECT_DOUBLE_EQ(found->total().relative(), 0.5);
}

TEST(CheckpointDifferenceTest, WhatIsNotFiniteComesFirstAndNothingOverflows) {
  FakeFileSystem files;
  const float largest = std::numeric_limits<float>::max();
  const std::vector<NamedValues> first = {{"a", {1}}, {"b", {largest, largest}}, {"c", {1}}};
  WriteTensors(&files, "x", first);
  WriteTensors(
      &files, "y",
      {{"a", {3}}, {"b", {-largest, largest}}, {"c", {std::numeric_limits<float>::quiet_NaN()}}});
  const auto found = DiffCheckpoints(&files, "x", "y", LayoutOf(first), Never);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->tensors(0).tensor(), "c");
  EXPECT_EQ(found->tensors(1).tensor(), "a");
  EXPECT_DOUBLE_EQ(found->tensors(2).difference(), 2.0 * largest);
}

TEST(CheckpointDifferenceTest, FilesThatDoNotFitAreNamed) {
  FakeFileSystem files;
  const std::vector<NamedValues> first = {{"a", {3, 4}}};
  WriteTensors(&files, "x", first);
  WriteTensors(&files, "y", {{"a", {3}}});
  WriteTensors(&files, "z", {{"b", {3, 4}}});
  files.SetContents("n", "nonsense");
  const auto outcome = [&](const char* other) {
    return DiffCheckpoints(&files, "x", other, LayoutOf(first), Never).status();
  };
  EXPECT_EQ(ReasonOf(outcome("y")), "FILE_INVALID");
  EXPECT_THAT(outcome("y").message(), HasSubstr("tensor \"a\" has 1 elements, 2 expected"));
  EXPECT_THAT(outcome("z").message(), HasSubstr("tensor \"a\": missing"));
  EXPECT_EQ(ReasonOf(outcome("n")), "FILE_INVALID");
  EXPECT_EQ(ReasonOf(outcome("none")), "FILE_NOT_FOUND");
  EXPECT_EQ(DiffCheckpoints(&files, "x", "x", LayoutOf(first), [] { return true; }).status().code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace gradd
