#include "worker/data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "tests/worker/data/files.h"

namespace gradd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class IdxTest : public testing::Test {
 protected:
  // What reading `content` as an array of `dimensions` dimensions says.
  std::string ErrorOf(const std::string& content, int dimensions = 3) {
    const std::string path = directory_.Write("broken", content);
    const absl::StatusOr<IdxArray> array = ReadIdx(path, dimensions);
    EXPECT_FALSE(array.ok());
    EXPECT_THAT(std::string(array.status().message()), HasSubstr(path));
    return std::string(array.status().message());
  }

  TemporaryDirectory directory_;
};

TEST_F(IdxTest, ReadsPlainAndGzip) {
  const std::string content = Idx({2, 1, 3}, "abcdef");
  for (const std::string& path :
       {directory_.Write("plain", content), directory_.Write("packed.gz", Gzip(content))}) {
    const absl::StatusOr<IdxArray> array = ReadIdx(path, 3);
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_THAT(array->shape, ElementsAre(2, 1, 3));
    EXPECT_THAT(array->bytes, ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
  }
}

TEST_F(IdxTest, AMissingFileIsNamed) {
  const absl::StatusOr<IdxArray> array = ReadIdx(directory_.path() + "/absent", 1);
  EXPECT_EQ(array.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(array.status().message()),
              AllOf(HasSubstr("/absent"), HasSubstr("No such file")));
}

TEST_F(IdxTest, ADirectoryIsNoFile) {
  EXPECT_THAT(std::string(ReadIdx(directory_.path(), 1).status().message()),
              HasSubstr("Is a directory"));
}

TEST_F(IdxTest, TruncatedGzipIsAnErrorWhereverItIsCut) {
  const std::string packed = Gzip(Idx({10, 10, 10}, std::string(1000, 'x')));
  for (size_t size = 0; size < packed.size(); ++size) {
    EXPECT_FALSE(ErrorOf(packed.substr(0, size)).empty()) << size;
  }
  // Bytes that do not compress, so that the cut is within the data.
  std::string noise(100'000, 0);
  uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  const std::string large = Gzip(Idx({100, 10, 100}, noise));
  EXPECT_THAT(ErrorOf(large.substr(0, large.size() / 2)),
              HasSubstr("the gzip data ends too early"));
}

TEST_F(IdxTest, CorruptGzipIsAnError) {
  std::string packed = Gzip(Idx({4}, "abcd"));
  packed[packed.size() - 8] = static_cast<char>(packed[packed.size() - 8] ^ 1);  // Its checksum.
  EXPECT_THAT(ErrorOf(packed, 1), HasSubstr("incorrect data check"));
}

TEST_F(IdxTest, WrongMagicSaysWhatWasFound) {
  EXPECT_THAT(ErrorOf("PNG file", 3),
              HasSubstr("magic number 0x504e4720 found, 0x00000803 (IDX, unsigned bytes, 3 "
                        "dimensions) expected"));
  EXPECT_THAT(ErrorOf(Idx({4}, "abcd"), 3), HasSubstr("0x00000801 found, 0x00000803"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("the IDX magic number: 0 bytes found, 4 expected"));
  EXPECT_THAT(ErrorOf(Idx({2, 3, 1}, "").substr(0, 10)),
              HasSubstr("the IDX dimensions: 6 bytes found, 12 expected"));
}

TEST_F(IdxTest, MissingAndSurplusDataAreErrors) {
  EXPECT_THAT(ErrorOf(Idx({2, 2, 2}, "abcdefg")),
              HasSubstr("the data of 2 x 2 x 2 bytes: 7 bytes found, 8 expected"));
  EXPECT_THAT(ErrorOf(Idx({2, 2, 2}, "abcdefghi")),
              HasSubstr("the file goes on after the 8 bytes of 2 x 2 x 2"));
}

TEST_F(IdxTest, SizesThatOverflowOrAreAbsurdAreRefused) {
  EXPECT_THAT(ErrorOf(Idx({0xffffffff, 0xffffffff, 0xffffffff}, "")),
              HasSubstr("dimensions 4294967295 x 4294967295 x 4294967295 found, between 1 and "
                        "8589934592 bytes expected"));
  EXPECT_THAT(ErrorOf(Idx({0, 28, 28}, "")), HasSubstr("dimensions 0 x 28 x 28 found"));
}

// The most memory this process ever had, in KiB.
int64_t PeakKibibytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_F(IdxTest, AHeaderThatPromisesGigabytesAllocatesNothingOfTheKind) {
  const int64_t before = PeakKibibytes();
  // Within the limit, but only 100 bytes are there.
  EXPECT_THAT(ErrorOf(Idx({0xffffffff, 1, 2}, std::string(100, 'x'))),
              HasSubstr("100 bytes found, 8589934590 expected"));
  EXPECT_LT(PeakKibibytes() - before, 64 * 1024);
}

TEST_F(IdxTest, ImagesAndLabelsBecomeADataset) {
  const std::string images =
      directory_.Write("images", Idx({3, 1, 2}, std::string("\0\xff\x33\x66\x99\xcc", 6)));
  const std::string labels = directory_.Write("labels", Idx({3}, std::string("\2\0\1", 3)));
  absl::StatusOr<Dataset> dataset = ReadIdxImages(images, labels, 0);
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ(dataset->examples(), 3);
  EXPECT_EQ(dataset->features(), 2);
  EXPECT_EQ(dataset->classes(), 3);
  dataset->set_scaling(dataset->ScalingFor(Standardization::kNone));
  Batch batch;
  dataset->Gather({2, 0}, &batch);
  EXPECT_THAT(batch.labels, ElementsAre(1, 2));
  EXPECT_THAT(batch.features, testing::Pointwise(testing::FloatEq(), {0.6F, 0.8F, 0.0F, 1.0F}));
}

TEST_F(IdxTest, CountsOfImagesAndLabelsMustAgree) {
  const std::string images = directory_.Write("images", Idx({3, 1, 1}, "abc"));
  const std::string labels = directory_.Write("labels", Idx({2}, std::string("\0\1", 2)));
  EXPECT_EQ(std::string(ReadIdxImages(images, labels, 0).status().message()),
            labels + ": 2 labels found, 3 expected, one per image of " + images);
}

TEST_F(IdxTest, ALabelBeyondTheClassesIsNamed) {
  const std::string images = directory_.Write("images", Idx({3, 1, 1}, "abc"));
  const std::string labels = directory_.Write("labels", Idx({3}, std::string("\0\7\1", 3)));
  EXPECT_EQ(std::string(ReadIdxImages(images, labels, 3).status().message()),
            labels + ": label 7 of example 1 found, less than 3 (the number of classes) expected");
}

}  // namespace
}  // namespace gradd
