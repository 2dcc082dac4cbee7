#include "worker/data/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/worker/data/files.h"

namespace gradd {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

class CsvTest : public testing::Test {
 protected:
  Batch Read(const std::string& content, const CsvOptions& options = {}) {
    const absl::StatusOr<Dataset> dataset = ReadCsv(directory_.Write("file", content), options);
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    Batch batch;
    if (!dataset.ok()) return batch;
    features_ = dataset->features();
    classes_ = dataset->classes();
    dataset->GatherRange(0, dataset->examples(), &batch);
    return batch;
  }

  // The error without the name of the file, which it must begin with.
  std::string ErrorOf(const std::string& content, const CsvOptions& options = {}) {
    const std::string path = directory_.Write("file", content);
    const std::string message(ReadCsv(path, options).status().message());
    EXPECT_THAT(message, StartsWith(path + ":"));
    return message.substr(std::min(message.size(), path.size() + 1));
  }

  static CsvOptions Label(const std::string& column) {
    CsvOptions options;
    options.label_column = column;
    return options;
  }
  static CsvOptions Regression() {
    CsvOptions options;
    options.regression = true;
    return options;
  }

  TemporaryDirectory directory_;
  int64_t features_ = 0;
  int64_t classes_ = 0;
};

TEST_F(CsvTest, AByteOrderMarkIsNoPartOfTheFirstField) {
  EXPECT_THAT(Read("\xef\xbb\xbf"
                   "1,2.5,0\n")
                  .features,
              ElementsAre(1, 2.5));
  EXPECT_THAT(Read("\xef\xbb\xbfy,x\n0,2.5\n", Label("y")).features, ElementsAre(2.5));
}

TEST_F(CsvTest, TheLastColumnIsTheLabel) {
  const Batch batch = Read("1,2.5,0\n-3,4e2,2\n");
  EXPECT_THAT(batch.features, ElementsAre(1, 2.5, -3, 400));
  EXPECT_THAT(batch.labels, ElementsAre(0, 2));
  EXPECT_EQ(features_, 2);
  EXPECT_EQ(classes_, 3);
}

TEST_F(CsvTest, AHeaderIsSkippedAndNamesTheLabel) {
  const Batch batch = Read("kind, \"size\" ,weight\n1,2,3\n0,5,6\n", Label("kind"));
  EXPECT_THAT(batch.features, ElementsAre(2, 3, 5, 6));
  EXPECT_THAT(batch.labels, ElementsAre(1, 0));
  EXPECT_THAT(Read("kind, \"size\" ,weight\n1,2,3\n", Label("size")).labels, ElementsAre(2));
}

TEST_F(CsvTest, TheLabelCanBeChosenByNumber) {
  EXPECT_THAT(Read("1,7\n0,8\n", Label("0")).labels, ElementsAre(1, 0));
  EXPECT_THAT(Read("a,b\n1,7\n0,8\n", Label("0")).features, ElementsAre(7, 8));
}

TEST_F(CsvTest, HeadersOfNumbersMustBeAnnounced) {
  CsvOptions options = Label("2021");
  options.header = CsvOptions::Header::kYes;
  EXPECT_THAT(Read("2020,2021\n5,1\n", options).labels, ElementsAre(1));
  EXPECT_THAT(Read("2020,21\n5,1\n").labels, ElementsAre(21, 1));
}

TEST_F(CsvTest, RegressionTargetsAreAnyNumbers) {
  const Batch batch = Read("1,-0.5\n2,1e3\n", Regression());
  EXPECT_THAT(batch.targets, ElementsAre(-0.5, 1000));
  EXPECT_TRUE(batch.labels.empty());
  EXPECT_EQ(classes_, 0);
}

TEST_F(CsvTest, LineEndsOfAllKindsAndBlankLines) {
  const Batch batch = Read("a,b\r\n\r\n1,0\r\n\n2,1\n \n3,1");
  EXPECT_THAT(batch.features, ElementsAre(1, 2, 3));
  EXPECT_THAT(batch.labels, ElementsAre(0, 1, 1));
}

TEST_F(CsvTest, GzipIsUnpacked) {
  EXPECT_THAT(Read(Gzip("1,0\n2,1\n")).features, ElementsAre(1, 2));
}

TEST_F(CsvTest, LinesMayCrossTheReadBuffer) {
  std::string content;
  for (int i = 0; i < 300'000; ++i) content += std::to_string(i) + ",1\n";
  const Batch batch = Read(content);
  ASSERT_EQ(batch.examples, 300'000);
  for (size_t i = 0; i < 300'000; ++i) ASSERT_EQ(batch.features[i], static_cast<float>(i));
}

TEST_F(CsvTest, RaggedLinesAreNamed) {
  EXPECT_EQ(ErrorOf("a,b,c\n1,2,0\n1,2\n"), "3: 2 fields found, 3 expected as in line 1");
  EXPECT_EQ(ErrorOf("\n1,2,0\n1,2,0,4\n"), "3: 4 fields found, 3 expected as in line 2");
}

TEST_F(CsvTest, WhatIsNoFiniteNumberIsNamed) {
  EXPECT_EQ(ErrorOf("a,b\n1,0\nnan,1\n"),
            "3: column 0 (a): \"nan\" found, a finite number expected");
  EXPECT_EQ(ErrorOf("1,0\ninf,1\n"), "2: column 0: \"inf\" found, a finite number expected");
  EXPECT_EQ(ErrorOf("1,0\n1e99,1\n"), "2: column 0: \"1e99\" found, a finite number expected");
  EXPECT_EQ(ErrorOf("1,0\n,1\n"), "2: column 0: \"\" found, a finite number expected");
  EXPECT_EQ(ErrorOf("1,0\nred,1\n"), "2: column 0: \"red\" found, a finite number expected");
  EXPECT_EQ(ErrorOf("nan,0\n1,1\n"), "1: column 0: \"nan\" found, a finite number expected");
  EXPECT_EQ(ErrorOf("1,0\n" + std::string(100, 'x') + ",1\n"),
            "2: column 0: \"" + std::string(40, 'x') + "...\" found, a finite number expected");
}

TEST_F(CsvTest, ALineWithSomeNumbersIsNoHeader) {
  EXPECT_EQ(ErrorOf("1,,0\n1,2,0\n"), "1: column 1: \"\" found, a finite number expected");
}

TEST_F(CsvTest, LabelsMustBeClasses) {
  EXPECT_EQ(ErrorOf("1,0\n1,0.5\n"),
            "2: column 1: label \"0.5\" found, a class from 0 to 999999 expected");
  EXPECT_EQ(ErrorOf("1,0\n1,-1\n"),
            "2: column 1: label \"-1\" found, a class from 0 to 999999 expected");
  EXPECT_EQ(ErrorOf("1,0\n1,4000000000\n"),
            "2: column 1: label \"4000000000\" found, a class from 0 to 999999 expected");
  CsvOptions options;
  options.classes = 3;
  EXPECT_EQ(ErrorOf("1,2\n1,3\n", options),
            "2: column 1: label \"3\" found, a class from 0 to 2 expected");
}

TEST_F(CsvTest, UnknownLabelColumnsAreListed) {
  EXPECT_EQ(ErrorOf("a,b\n1,0\n", Label("c")),
            "1: label column \"c\": 2 columns (a, b) found, a name of the header or a number from "
            "0 to 1 expected");
  EXPECT_EQ(
      ErrorOf("1,0\n", Label("2")),
      "1: label column \"2\": no header and 2 columns found, a name of the header or a number "
      "from 0 to 1 expected");
}

TEST_F(CsvTest, QuotationMarksAreTakenOffTheirFields) {
  const Batch batch = Read("\"a\", \"b\" ,\"c, d\"\n\"1\",\"2.5\",\"0\"\n 3 , \"4\", 1\n");
  EXPECT_EQ(features_, 2);
  EXPECT_THAT(batch.features, ElementsAre(1, 2.5, 3, 4));
  Read("\"a \"\"b\"\"\",\"\"\"c\"\"\"\n1,0\n", Label("\"\"c\"\""));
  EXPECT_EQ(ErrorOf("1,2\n\"1,2\n"),
            "2: field 1 begins with a quotation mark and does not end with one");
  EXPECT_EQ(ErrorOf("1,\"2\"3\n"),
            "1: field 2 begins with a quotation mark and does not end with one");
}

TEST_F(CsvTest, TwoColumnsOfOneNameAreRefused) {
  EXPECT_EQ(ErrorOf("a,b,a\n1,0,1\n"),
            "1: columns 0 and 2 are both named \"a\", different names expected");
  Read(",,a\n1,2,0\n");  // Without names.
}

TEST_F(CsvTest, FilesWithoutExamplesAreRefused) {
  EXPECT_EQ(ErrorOf(""), " no line of numbers found, at least one expected");
  EXPECT_EQ(ErrorOf("a,b\n"), " no line of numbers found, at least one expected");
  EXPECT_EQ(ErrorOf("1\n2\n"), "1: 1 field found, at least 2 expected");
}

TEST_F(CsvTest, TruncatedGzipIsAnError) {
  std::string content;
  for (int i = 0; i < 1000; ++i) content += std::to_string(i * i) + ",1\n";
  const std::string packed = Gzip(content);
  EXPECT_EQ(ErrorOf(packed.substr(0, packed.size() / 2)),
            " cannot be read: the gzip data ends too early");
}

TEST_F(CsvTest, ALineWithoutEndIsRefusedBeforeItFillsTheMemory) {
  EXPECT_EQ(ErrorOf(Gzip(std::string(size_t{70} << 20, '1'))),
            "1: a line of more than 67108864 bytes");
}

}  // namespace
}  // namespace gradd
