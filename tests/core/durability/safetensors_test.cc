#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/durability/safetensors_reader.h"
#include "core/durability/safetensors_writer.h"
#include "tests/support/fake_file_system.h"

namespace gradd {
namespace {

using ::testing::HasSubstr;

std::string LengthOf(uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

std::string FileOf(const std::string& json, const std::string& data = "") {
  return LengthOf(json.size()) + json + data;
}

absl::StatusOr<std::unique_ptr<SafetensorsReader>> OpenBytes(const std::string& bytes) {
  static FakeFileSystem files;  // As long as the readers.
  files.SetContents("model", bytes);
  return SafetensorsReader::Open(&files, "model");
}

// A file of two tensors.
std::string SmallFile() {
  return FileOf(R"({"__metadata__":{"format":"pt"},)"
                R"("b":{"dtype":"F32","shape":[1,2],"data_offsets":[2,10]},)"
                R"("a":{"dtype":"F16","shape":[],"data_offsets":[0,2]}}   )",
                "0123456789");
}

struct Refusal {
  const char* name;
  std::string bytes;
  const char* message;
};

class SafetensorsRefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(SafetensorsRefusalTest, NamesWhatIsWrong) {
  const auto reader = OpenBytes(GetParam().bytes);
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(reader.status()), "FILE_INVALID");
  EXPECT_THAT(std::string(reader.status().message()), HasSubstr("model: "));
  EXPECT_THAT(std::string(reader.status().message()), HasSubstr(GetParam().message));
}

// One tensor "a" with these fields, and as many bytes.
std::string Fields(const std::string& fields, size_t data_bytes = 8) {
  return FileOf(absl::StrCat(R"({"a":{)", fields, "}}"), std::string(data_bytes, 'x'));
}

std::vector<Refusal> Refusals() {
  const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  const std::string many_ones = "1" + [] {
    std::string ones;
    for (int i = 0; i < 64; ++i) ones += ",1";
    return ones;
  }();
  return {
      {"Empty", "", "its 0 bytes are fewer"},
      {"OnlyALength", LengthOf(0), "its 8 bytes are fewer"},
      {"NoHeader", LengthOf(0) + "x", "does not begin with {"},
      {"HeaderBeyondTheFile", LengthOf(3) + "{}", "a header of 3 bytes in a file of 10: it is cut"},
      {"HeaderBeyondTheFormat", LengthOf(100'000'001) + "{}", "at most 100000000 expected"},
      {"HeaderOfAllBits", LengthOf(~uint64_t{0}) + "{}", "a header of 18446744073709551615 bytes"},
      {"SpacesFirst", FileOf(" {}"), "does not begin with {"},
      {"ByteOrderMark", FileOf("\xef\xbb\xbf{}"), "does not begin with {"},
      {"List", FileOf("[]"), "does not begin with {"},
      {"CutOffJson", FileOf(R"({"a":)"), "no JSON in UTF-8, at its byte 6"},
      {"TextAfterJson", FileOf("{} x"), "no JSON in UTF-8, at its byte 4"},
      {"NoUtf8", FileOf("{\"\xff\":{}}"), "no JSON in UTF-8"},
      {"HalfACharacter", FileOf(R"({"\ud800":{}})"), "no JSON in UTF-8"},
      {"DataOfNobody", FileOf("{}", "x"), "1 bytes of data, and its tensors take 0"},
      {"TrailingBytes", Fields(good, 9), "9 bytes of data, and its tensors take 8"},
      {"DataIsMissing", Fields(good, 7),
       "tensor \"a\": data_offsets [0, 8] are beyond the file's 7"},
      {"TensorIsANumber", FileOf(R"({"a":5})"), "tensor \"a\": is 5, an object expected"},
      {"TensorIsAList", FileOf(R"({"a":[]})"), "tensor \"a\": is a list, an object expected"},
      {"TensorIsNull", FileOf(R"({"a":null})"), "tensor \"a\": is null"},
      {"NoType", Fields(R"("shape":[2],"data_offsets":[0,8])"), "tensor \"a\": dtype is missing"},
      {"NoShape", Fields(R"("dtype":"F32","data_offsets":[0,8])"), "shape is missing"},
      {"NoOffsets", Fields(R"("dtype":"F32","shape":[2])"), "data_offsets is missing"},
      {"FieldTwice", Fields(good + R"(,"shape":[2])"), "tensor \"a\": shape is there twice"},
      {"UnknownField", Fields(good + R"(,"order":"C")"), "the field \"order\" is not known"},
      {"UnknownType", Fields(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"),
       "tensor \"a\": dtype: \"F31\" is no type of the format"},
      {"TypeIsANumber", Fields(R"("dtype":32,"shape":[2],"data_offsets":[0,8])"),
       "dtype: 32, text expected"},
      {"TypeIsAList", Fields(R"("dtype":["F32"],"shape":[2],"data_offsets":[0,8])"),
       "dtype: a list, text expected"},
      {"ShapeIsText", Fields(R"("dtype":"F32","shape":"2","data_offsets":[0,8])"),
       "shape: \"2\", a list of numbers expected"},
      {"ShapeOfText", Fields(R"("dtype":"F32","shape":["2"],"data_offsets":[0,8])"),
       "shape: \"2\", whole numbers from 0 on expected"},
      {"ShapeOfLists", Fields(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])"),
       "shape: a list, whole numbers"},
      {"ShapeOfObjects", Fields(R"("dtype":"F32","shape":[{}],"data_offsets":[0,8])"),
       "shape: an object, whole numbers"},
      {"DimensionBelowZero", Fields(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"),
       "shape: -2, whole numbers"},
      {"DimensionWithAFraction", Fields(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"),
       "shape: 2.0, whole numbers"},
      {"DimensionBeyond64Bits",
       Fields(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8])"),
       "shape: 18446744073709551616, whole numbers"},
      {"DimensionBeyondAnyFile",
       Fields(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8])"),
       "shape: 18446744073709551615 is more than any file has"},
      {"ElementsThatOverflow",
       Fields(R"("dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8])"),
       "no number of bytes that a file can have"},
      {"BytesThatOverflow",
       Fields(R"("dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,8])"),
       "no number of bytes that a file can have"},
      {"HalfAByte", Fields(R"("dtype":"F4","shape":[1],"data_offsets":[0,1])", 1),
       "no number of bytes that a file can have"},
      {"TooManyDimensions",
       Fields(absl::StrCat(R"("dtype":"F32","shape":[)", many_ones, R"(],"data_offsets":[0,4])"),
              4),
       "shape: more than 64 numbers"},
      {"OneOffset", Fields(R"("dtype":"F32","shape":[2],"data_offsets":[0])"),
       "data_offsets: 1 numbers, 2 expected"},
      {"ThreeOffsets", Fields(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"),
       "data_offsets: more than 2 numbers"},
      {"OffsetsTheWrongWayRound",
       Fields(R"("dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
              R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,0])"),
       "tensor \"b\": data_offsets [8, 0], a gap"},
      {"OtherSizeThanTheShape", Fields(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
       "tensor \"a\": data_offsets [0, 8], where its shape of F32 takes 12 bytes"},
      {"Gap", Fields(good + R"(},"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10])", 10),
       "tensor \"b\": data_offsets [9, 10], a gap: the data before it ends at 8"},
      {"GapAtTheBeginning", Fields(R"("dtype":"F32","shape":[2],"data_offsets":[1,9])", 9),
       "tensor \"a\": data_offsets [1, 9], a gap"},
      {"Overlap", Fields(good + R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":[7,9])", 9),
       "tensor \"b\": data_offsets [7, 9], an overlap: the data before it ends at 8"},
      {"TheSameDataTwice",
       Fields(good + R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8])"), "an overlap"},
      {"NameTwice", Fields(good + R"(},"a":{"dtype":"F32","shape":[0],"data_offsets":[8,8])"),
       "tensor \"a\" is there twice"},
      {"MetadataTwice", FileOf(R"({"__metadata__":{},"__metadata__":{}})"),
       "__metadata__: is there twice"},
      {"MetadataIsText", FileOf(R"({"__metadata__":"x"})"), "__metadata__: is \"x\""},
      {"MetadataOfNumbers", FileOf(R"({"__metadata__":{"k":1}})"),
       "__metadata__: \"k\" is 1, text expected"},
      {"MetadataOfObjects", FileOf(R"({"__metadata__":{"k":{}}})"), "\"k\" is an object"},
      {"MetadataKeyTwice", FileOf(R"({"__metadata__":{"k":"a","k":"b"}})"),
       "the key \"k\" is there twice"},
      {"Deep", FileOf("{\"a\":{\"shape\":" + std::string(100'000, '[')), "a list, whole numbers"},
      {"DeepObjects", FileOf([] {
         std::string deep;
         for (int i = 0; i < 50'000; ++i) deep += R"({"a":)";
         return deep;
       }()),
       "tensor \"a\": the field \"a\" is not known"},
  };
}

INSTANTIATE_TEST_SUITE_P(Table, SafetensorsRefusalTest, testing::ValuesIn(Refusals()),
                         [](const auto& row) { return row.param.name; });

TEST(SafetensorsReaderTest, ReadsFloatsOfThreeTypesExactly) {
  SafetensorsHeader header;
  header.tensors = {{"f64", FindSafetensorsType("F64"), {1}},
                    {"f32", FindSafetensorsType("F32"), {2, 2}},
                    {"f16", FindSafetensorsType("F16"), {3}},
                    {"bf16", FindSafetensorsType("BF16"), {}},
                    {"none", FindSafetensorsType("F32"), {5, 0}}};
  header.metadata = {{"who", "\"quotes\" and \n lines"}};
  FakeFileSystem files;
  {
    const auto file = *files.Create("model");
    auto writer = SafetensorsWriter::Begin(&header, file.get());
    ASSERT_TRUE(writer.ok()) << writer.status();
    EXPECT_EQ(file->size() % 64, 0) << "the data is aligned where the file is mapped";
    EXPECT_EQ(writer->bytes_left(), 8 + 16 + 6 + 2);
    const float values[] = {1.5F, -0.0F, std::numeric_limits<float>::denorm_min(),
                            std::numeric_limits<float>::infinity()};
    const std::string f32(reinterpret_cast<const char*>(values), sizeof(values));
    ASSERT_TRUE(writer->Append("12345678").ok());
    ASSERT_TRUE(writer->Append(f32.substr(0, 3)).ok());
    ASSERT_TRUE(writer->Append(f32.substr(3)).ok());
    // 1, -2, 2^-24; and 1.
    ASSERT_TRUE(writer->Append(absl::string_view("\x00\x3c\x00\xc0\x01\x00\x80\x3f", 8)).ok());
    EXPECT_EQ(writer->bytes_left(), 0);
  }
  const auto opened = SafetensorsReader::Open(&files, "model");
  ASSERT_TRUE(opened.ok()) << opened.status();
  const SafetensorsReader& reader = **opened;
  EXPECT_EQ(reader.metadata(), header.metadata);
  ASSERT_EQ(reader.tensors().size(), 5U);
  EXPECT_EQ(reader.tensors()[1].name, "f32");
  EXPECT_EQ(reader.tensors()[1].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(reader.Find("absent"), nullptr);
  const auto floats = [&](const char* name, int64_t first, int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    const absl::Status read = reader.ReadFloats(*reader.Find(name), first, count, values.data());
    EXPECT_TRUE(read.ok()) << read;
    return values;
  };
  EXPECT_EQ(floats("f32", 0, 4), (std::vector<float>{1.5F, 0, 0x1p-149F, HUGE_VALF}));
  EXPECT_TRUE(std::signbit(floats("f32", 1, 1)[0]));
  EXPECT_EQ(floats("f16", 1, 2), (std::vector<float>{-2, 0x1p-24F}));
  EXPECT_EQ(floats("bf16", 0, 1), (std::vector<float>{1}));
  EXPECT_EQ(floats("none", 0, 0), (std::vector<float>{}));
  float value = 0;
  const absl::Status refused = reader.ReadFloats(*reader.Find("f64"), 0, 1, &value);
  EXPECT_EQ(ReasonOf(refused), "FILE_INVALID");
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("model: tensor \"f64\" is of F64, F32, F16 or BF16 expected"));
}

TEST(SafetensorsReaderTest, ReadsLongHalfFloatsInPieces) {
  SafetensorsHeader header;
  constexpr int64_t kElements = 40'000;
  header.tensors = {{"x", FindSafetensorsType("BF16"), {kElements}}};
  std::string file = *FormatSafetensorsHeader(&header);
  for (int64_t i = 0; i < kElements; ++i) {
    // 1, 1 and a part, ... 2 and a part: 128 values between powers of two.
    file.push_back(static_cast<char>(i % 256));
    file.push_back('\x3f');
  }
  const auto reader = *OpenBytes(file);
  std::vector<float> values(kElements - 1);
  ASSERT_TRUE(reader->ReadFloats(reader->tensors()[0], 1, kElements - 1, values.data()).ok());
  for (int64_t i = 1; i < kElements; ++i) {
    const uint32_t bits = 0x3f000000U | static_cast<uint32_t>(i % 256) << 16;
    float expected = 0;
    std::memcpy(&expected, &bits, sizeof(expected));
    ASSERT_EQ(values[static_cast<size_t>(i) - 1], expected) << i;
  }
}

// Whether the data is what it was is for checksums; what the header says is for the reader.
TEST(SafetensorsReaderTest, NoPrefixIsReadAndNoFlippedByteLeadsBeyondTheFile) {
  const std::string file = SmallFile();
  ASSERT_TRUE(OpenBytes(file).ok());
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(OpenBytes(file.substr(0, size)).ok()) << size;
  }
  for (size_t at = 0; at < file.size(); ++at) {
    for (const int bit : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      const auto reader = OpenBytes(changed);
      if (!reader.ok()) {
        EXPECT_THAT(std::string(reader.status().message()), HasSubstr("model: "));
        continue;
      }
      // A name, a text or the type may be another one; the tensors lie where they did.
      ASSERT_EQ((*reader)->tensors().size(), 2U);
      EXPECT_EQ((*reader)->tensors()[0].end, 2);
      EXPECT_EQ((*reader)->tensors()[1].end, 10);
    }
  }
}

TEST(SafetensorsWriterTest, WhatTheFormatCannotHoldIsRefused) {
  const SafetensorsType* const type = FindSafetensorsType("F32");
  const auto refusal = [](SafetensorsHeader header) {
    return std::string(FormatSafetensorsHeader(&header).status().message());
  };
  EXPECT_THAT(refusal({{{"a", type, {}}, {"a", type, {}}}, {}}), HasSubstr("\"a\" is there twice"));
  EXPECT_THAT(refusal({{{"__metadata__", type, {}}}, {}}), HasSubstr("__metadata__"));
  EXPECT_THAT(refusal({{{"\xff", type, {}}}, {}}), HasSubstr("no UTF-8"));
  EXPECT_THAT(refusal({{}, {{"k", "\xff"}}}), HasSubstr("no UTF-8"));
  EXPECT_THAT(refusal({{{"a", type, {int64_t{1} << 60, 2}}}, {}}), HasSubstr("\"a\" cannot be"));
  SafetensorsHeader large;
  for (int i = 0; i < 9; ++i) large.tensors.push_back({absl::StrCat(i), type, {int64_t{1} << 55}});
  EXPECT_THAT(refusal(large), HasSubstr("\"8\" cannot be"));
  EXPECT_THAT(refusal({{}, {{"k", std::string(100'000'000, 'x')}}}),
              HasSubstr("at most 100000000 expected"));
}

}  // namespace
}  // namespace gradd
