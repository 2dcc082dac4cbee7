#include "worker/data/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/worker/data/files.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LoadTest : public testing::Test {
 protected:
  static std::string ErrorOf(const DataOptions& options) {
    return std::string(LoadData(options).status().message());
  }

  DataOptions Idx(const std::string& train, const std::string& test, uint32_t pixels = 2) {
    DataOptions options;
    options.kind = DataKind::kIdx;
    options.train_images = directory_.Write("train", gradd::Idx({2, 1, 2}, train));
    options.train_labels =
        directory_.Write("train_labels", gradd::Idx({2}, std::string("\0\1", 2)));
    options.test_images = directory_.Write("test", gradd::Idx({1, 1, pixels}, test));
    options.test_labels = directory_.Write("test_labels", gradd::Idx({1}, std::string("\1", 1)));
    return options;
  }

  TemporaryDirectory directory_;
};

TEST_F(LoadTest, TheTestSetIsScaledByTheTrainingSet) {
  const TrainAndTest data =
      LoadData(Idx(std::string("\0\2\2\0", 4), std::string("\4\1", 2))).value();
  Batch batch;
  data.train.GatherRange(0, 2, &batch);
  EXPECT_THAT(batch.features, ElementsAre(-1, 1, 1, -1));
  data.test.GatherRange(0, 1, &batch);
  EXPECT_THAT(batch.features, ElementsAre(3, 0));
}

TEST_F(LoadTest, TestImagesOfAnotherSizeAreRefused) {
  EXPECT_THAT(ErrorOf(Idx("abcd", "abc", 3)), HasSubstr("images of 3 pixels found, 2 expected"));
}

TEST_F(LoadTest, HalfATestSetIsRefused) {
  DataOptions options = Idx("abcd", "ab");
  options.test_labels.clear();
  EXPECT_THAT(ErrorOf(options), HasSubstr("both or none expected"));
  options.test_images.clear();
  EXPECT_EQ(LoadData(options)->test.examples(), 0);
  options.train_labels.clear();
  EXPECT_THAT(ErrorOf(options), HasSubstr("training images and labels are required"));
}

TEST_F(LoadTest, FashionMnistIsFoundPlainOrPacked) {
  DataOptions options;
  options.kind = DataKind::kFashionMnist;
  options.data_dir = directory_.path();
  EXPECT_THAT(ErrorOf(options), HasSubstr("dataset-fashion-mnist"));
  directory_.Write("train-images-idx3-ubyte", gradd::Idx({2, 1, 1}, "ab"));
  directory_.Write("train-labels-idx1-ubyte.gz", Gzip(gradd::Idx({2}, std::string("\0\1", 2))));
  directory_.Write("t10k-images-idx3-ubyte", gradd::Idx({1, 1, 1}, "a"));
  directory_.Write("t10k-labels-idx1-ubyte", gradd::Idx({1}, std::string("\0", 1)));
  const absl::StatusOr<TrainAndTest> data = LoadData(options);
  ASSERT_TRUE(data.ok()) << data.status();
  EXPECT_EQ(data->train.examples(), 2);
  EXPECT_EQ(data->test.examples(), 1);
}

TEST_F(LoadTest, CsvTestSetFitsTheTrainingSet) {
  DataOptions options;
  options.kind = DataKind::kCsv;
  EXPECT_THAT(ErrorOf(options), HasSubstr("a training file is required"));
  options.train_csv = directory_.Write("train.csv", "1,2,0\n3,4,1\n");
  options.test_csv = directory_.Write("test.csv", "1,2,2\n");
  EXPECT_THAT(ErrorOf(options), HasSubstr("label \"2\" found, a class from 0 to 1 expected"));
  options.test_csv = directory_.Write("test.csv", "1,0\n");
  EXPECT_THAT(ErrorOf(options), HasSubstr("test.csv: 1 features found, 2 expected"));
  options.test_csv = directory_.Write("test.csv", "2,3,0\n");
  const TrainAndTest data = LoadData(options).value();
  Batch batch;
  data.test.GatherRange(0, 1, &batch);
  EXPECT_THAT(batch.features, ElementsAre(0, 0));  // The training set's means.
}

TEST_F(LoadTest, ColumnsOfACsvTestSetAreMatchedByName) {
  DataOptions options;
  options.kind = DataKind::kCsv;
  options.regression = true;
  options.standardization = Standardization::kNone;
  options.train_csv = directory_.Write("train.csv", "a,b,c,price\n1,2,3,4\n5,6,7,8\n");
  const auto expect_same = [&](const char* content) {
    options.test_csv = directory_.Write("test.csv", content);
    const absl::StatusOr<TrainAndTest> data = LoadData(options);
    ASSERT_TRUE(data.ok()) << data.status();
    Batch batch;
    data->test.GatherRange(0, 2, &batch);
    EXPECT_THAT(batch.features, ElementsAre(10, 20, 30, 11, 21, 31)) << content;
    EXPECT_THAT(batch.targets, ElementsAre(40, 41)) << content;
  };
  for (const char* label : {"", "price", "3"}) {
    options.label_column = label;
    expect_same("a,b,c,price\n10,20,30,40\n11,21,31,41\n");
    expect_same("price,c,\"a\",b\n40,30,10,20\n41,31,11,21\n");
    expect_same("c,price,b,a\n30,40,20,10\n31,41,21,11\n");
    expect_same("10,20,30,40\n11,21,31,41\n");  // Without a header, the order is all there is.
  }
  const std::string expected = "found; expected the columns of " + options.train_csv;
  const auto error_of = [&](const char* content) {
    options.test_csv = directory_.Write("test.csv", content);
    return ErrorOf(options);
  };
  EXPECT_THAT(error_of("a,b,d,price\n1,2,3,4\n"),
              HasSubstr("test.csv:1: a column \"d\" " + expected));
  EXPECT_THAT(error_of("a,b,price\n1,2,4\n"), HasSubstr("test.csv:1: no column \"c\" " + expected));
  EXPECT_THAT(error_of("a,b,c,c,price\n1,2,3,3,4\n"),
              HasSubstr("test.csv:1: columns 2 and 3 are both named \"c\""));
  EXPECT_THAT(error_of("id,a,b,c,price\n9,1,2,3,4\n"),
              HasSubstr("test.csv:1: a column \"id\" " + expected));
}

TEST_F(LoadTest, SyntheticDataFollowsTheModel) {
  DataOptions options;
  options.kind = DataKind::kSynthetic;
  options.synthetic.examples = 10;
  EXPECT_EQ(LoadData(options)->train.classes(), 10);
  options.classes = 3;
  EXPECT_EQ(LoadData(options)->train.classes(), 3);
  options.regression = true;
  EXPECT_EQ(LoadData(options)->train.classes(), 0);
  options.classes = -1;
  EXPECT_THAT(ErrorOf(options), HasSubstr("classes: -1"));
}

}  // namespace
}  // namespace gradd
