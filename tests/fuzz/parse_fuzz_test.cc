#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "gradd/v1/training_service.pb.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

// Messages to begin from, and parts of messages to put in.
std::vector<std::string> MessageSeeds() {
  std::vector<std::string> seeds;
  v1::TrainRequest push;
  push.mutable_push()->mutable_header()->set_sequence(300);
  push.mutable_push()->mutable_header()->set_loss(0.5);
  push.mutable_push()->mutable_chunk()->set_offset(1 << 20);
  push.mutable_push()->mutable_chunk()->set_data("0123456789abcdef");
  push.mutable_push()->mutable_commit()->set_want_parameters(true);
  seeds.push_back(push.SerializeAsString());
  seeds.push_back(push.push().SerializeAsString());
  seeds.push_back(push.push().chunk().SerializeAsString());
  v1::TrainRequest header;
  header.mutable_push()->mutable_header()->set_sequence(1);
  seeds.push_back(header.SerializeAsString());
  v1::TrainRequest join;
  join.mutable_join()->set_run("runs/a");
  join.mutable_join()->mutable_layout()->add_tensors()->add_shape(1000);
  seeds.push_back(join.SerializeAsString());
  v1::TrainResponse parameters;
  parameters.mutable_parameters()->set_step(7);
  parameters.mutable_parameters()->set_data("fedcba9876543210");
  seeds.push_back(parameters.SerializeAsString());
  v1::TrainResponse result;
  result.mutable_push_result()->set_message("wrong");
  seeds.push_back(result.SerializeAsString());
  seeds.emplace_back("\x92\x80\x00\x02\x08\x01",
                     6);                      // A tag and a length longer than they need be.
  seeds.emplace_back("\x0b\x13\x14\x0c", 4);  // Groups.
  seeds.emplace_back("\xff\xff\xff\xff\x0f", 5);
  return seeds;
}

// Writes what no serializer writes: numbers longer than they need be, with bits beyond the last
// that counts, and fields of all numbers and wire types, which may end too soon.
class WireWriter {
 public:
  explicit WireWriter(std::mt19937* random) : random_(random) {}

  std::string Message(int depth) {
    std::string bytes;
    for (size_t fields = Below(4); fields > 0; --fields) bytes += Field(depth);
    return bytes;
  }

 private:
  size_t Below(size_t bound) { return (*random_)() % bound; }

  std::string Varint(uint64_t value, size_t max_padding) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
    bytes.push_back(static_cast<char>(value));
    if (Below(3) != 0) return bytes;
    for (size_t padding = Below(max_padding); padding > 0; --padding) {
      bytes.back() = static_cast<char>(bytes.back() | 0x80);
      bytes.push_back(Below(3) == 0 ? static_cast<char>(Below(128)) : '\0');
    }
    return bytes;
  }
  std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(Below(256));
    return bytes;
  }
  std::string Tag(size_t number, size_t type) { return Varint(number << 3 | type, 6); }
  std::string Field(int depth) {
    // Most often those that lead to the data, with the type that they have.
    const size_t number = Below(3) == 0 ? Below(18) : std::array<size_t, 4>{2, 3, 15, 1}[Below(4)];
    const size_t type = Below(3) == 0 ? Below(8) : 2;
    const std::string tag = Tag(number, type);
    switch (type) {
      case 0:
        return tag + Varint(uint64_t{(*random_)()} << Below(33), 10);
      case 1:
        return tag + Bytes(8);
      case 2: {
        const std::string content = depth > 0 ? Message(depth - 1) : Bytes(Below(6));
        const size_t wrong = Below(20) == 0 ? Below(5) : 0;
        return tag + Varint(content.size() + wrong, 6) + content;
      }
      case 3:
        return tag + Message(depth > 0 ? depth - 1 : 0).substr(0, depth > 0 ? 1000 : 0) +
               Tag(Below(20) == 0 ? number + 1 : number, 4);
      case 5:
        return tag + Bytes(4);
      default:  // The end of no group, and two types that there are not.
        return Below(4) == 0 ? tag : std::string();
    }
  }

  std::mt19937* const random_;
};

class ParsingTest : public testing::Test {
 protected:
  ParsingTest() : handler_(google::protobuf::SetLogHandler(nullptr)) {}
  ~ParsingTest() override { google::protobuf::SetLogHandler(handler_); }

 private:
  google::protobuf::LogHandler* const handler_;  // It would print a line for each wrong string.
};

TEST_F(ParsingTest, OfChangedMessagesIsThatOfTheGeneratedClasses) {
  const std::vector<std::string> seeds = MessageSeeds();
  for (unsigned seed = 0; seed < 50'000; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = Mutate(seeds, &random);
    ASSERT_EQ(CheckParsing(bytes, RandomCuts(&random)), "") << "seed " << seed;
  }
}

TEST_F(ParsingTest, OfOddlyWrittenMessagesIsThatOfTheGeneratedClasses) {
  int accepted = 0;
  for (unsigned seed = 0; seed < 100'000; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = WireWriter(&random).Message(4);
    ASSERT_EQ(CheckParsing(bytes, RandomCuts(&random)), "") << "seed " << seed;
    if (!bytes.empty() && v1::TrainRequest().ParseFromString(bytes)) ++accepted;
  }
  EXPECT_GT(accepted, 10'000);
}

TEST_F(ParsingTest, OfWhatAFuzzerFoundIsThatOfTheGeneratedClasses) {
  for (const std::string& input : Corpus("parse")) {
    const FuzzInput parts(input);
    ASSERT_EQ(CheckParsing(parts.bytes, parts.cuts), "");
    ASSERT_EQ(CheckParsing(parts.bytes, ""), "");
  }
}

std::string Repeated(const std::string& bytes, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += bytes;
  return all;
}

// A field around the content, which is shorter than 128 bytes.
std::string In(int number, const std::string& content) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(content.size())} +
         content;
}

struct Edge {
  const char* name;
  std::string bytes;
  bool valid;
};

std::vector<Edge> Edges() {
  using namespace std::string_literals;
  const std::string heartbeat = "\x1a\x00"s;
  const std::string ninety_groups = Repeated("\x5b", 90);
  return {
      {"nothing", "", true},
      {"a tag of five bytes", "\x9a\x80\x80\x80\x00\x00"s, true},
      {"bits of a tag above the 32nd", "\x9a\x80\x80\x80\x70\x00"s, true},
      {"a tag of six bytes", "\x9a\x80\x80\x80\x80\x00\x00"s, false},
      {"a tag of six bytes on the way to the data", "\x92\x80\x80\x80\x80\x00\x00"s, false},
      {"a tag without an end", "\x9a"s, false},
      {"a tag of zero", "\x00"s, false},
      {"a tag of zero in a push", In(2, "\x00"s), false},
      {"field number 0", "\x02\x00"s, false},
      {"field number 0 of a varint in a chunk", In(2, In(3, "\x80\x00\x01"s)), false},
      {"wire type 6", "\x5e"s, false},
      {"wire type 7", "\x5f"s, false},
      {"a push with wire type 6", "\x16"s, false},
      {"a push as a varint, which is unknown", "\x10\x01"s, true},
      {"a chunk as a group, which is unknown", In(2, "\x1b\x7a\x01x\x1c"s), true},
      {"data as a number, which is unknown",
       In(2, In(3,
                "\x7d"
                "1234"s)),
       true},
      {"an empty group", "\x5b\x5c"s, true},
      {"a group with a field", "\x5b\x08\x01\x5c"s, true},
      {"a group that another one ends", "\x5b\x64"s, false},
      {"a group without an end", "\x5b\x08\x01"s, false},
      {"the end of no group", heartbeat + "\x5c"s, false},
      {"the end of no group in a push", In(2, "\x5c"s), false},
      {"a group that a push begins and does not end", In(2, "\x5b"s) + "\x5c"s, false},
      {"groups 90 deep", ninety_groups + Repeated("\x5c", 90), true},
      {"groups 101 deep", Repeated("\x5b", 101) + Repeated("\x5c", 101), false},
      {"groups 100,000 deep", Repeated("\x5b", 100'000) + Repeated("\x5c", 100'000), false},
      {"a varint of ten bytes", "\x58" + Repeated("\xff", 9) + "\x01", true},
      {"a varint with bits above the 64th", "\x58" + Repeated("\xff", 9) + "\x7f", true},
      {"a varint of eleven bytes", "\x58" + Repeated("\xff", 10) + "\x01", false},
      {"an offset with bits above the 64th", In(2, In(3, "\x08" + Repeated("\xff", 9) + "\x7f")),
       true},
      {"a length of five bytes", "\x1a\x80\x80\x80\x80\x00"s, true},
      {"a length of six bytes", "\x1a\x80\x80\x80\x80\x80\x00"s, false},
      {"a length of five bytes for the data", In(2, In(3, "\x7a\x81\x80\x80\x80\x00x"s)), true},
      {"a length of six bytes for the data", In(2, In(3, "\x7a\x81\x80\x80\x80\x80\x00x"s)), false},
      {"a length of six bytes for a push", "\x12\x80\x80\x80\x80\x80\x00"s, false},
      {"a length above 2^31", "\x1a\x80\x80\x80\x80\x08"s, false},
      {"a length above 2^32, whose lower bits are right", "\x1a\x80\x80\x80\x80\x10"s, false},
      {"a length of 2^31 - 1", "\x1a\xff\xff\xff\xff\x07"s, false},
      {"a length beyond the message", "\x1a\x01"s, false},
      {"data beyond the message", In(2, In(3, "\x7a\x02x"s)), false},
      {"data beyond the chunk, in the push", In(2, In(3, "\x7a\x02x"s) + "y"), false},
      {"a chunk beyond the push, in the request", In(2, "\x1a\x02"s) + "\x08\x01"s, false},
      {"eight bytes of which seven are there",
       "\x59"
       "1234567"s,
       false},
      {"a run's name that is no UTF-8", In(1, In(1, "\xff"s)), false},
      {"a run's name with a surrogate", In(1, In(1, "\xed\xa0\x80"s)), false},
      {"an unknown string that is no UTF-8", In(1, In(15, "\xff"s)), true},
      {"data that is no UTF-8", In(2, In(3, In(15, "\xff"s))), true},
      {"data twice, then none", In(2, In(3, In(15, "a"s) + In(15, "b"s) + In(15, ""s))), true},
      {"a push after a push", In(2, In(3, In(15, "a"s))) + In(2, In(3, "\x08\x07"s)), true},
      {"a push after a heartbeat", heartbeat + In(2, In(3, In(15, "a"s))), true},
      {"a heartbeat after a push", In(2, In(3, In(15, "a"s))) + heartbeat, true},
      {"a push after a heartbeat after a push",
       In(2, In(3, In(15, "a"s))) + heartbeat + In(2, In(3, "\x08\x07"s)), true},
      {"a heartbeat as a varint after a push", In(2, In(3, In(15, "a"s))) + "\x18\x00"s, true},
      {"a wrong heartbeat after a push", In(2, In(3, In(15, "a"s))) + In(3, "\x00"s), false},
  };
}

TEST_F(ParsingTest, KnowsTheEdgesOfTheWireFormat) {
  for (const Edge& edge : Edges()) {
    SCOPED_TRACE(edge.name);
    for (const char* cuts : {"", "\x01", "\x02\x03"}) {
      EXPECT_EQ(CheckParsing(edge.bytes, cuts), "");
    }
    const grpc::Slice slice(edge.bytes);
    v1::TrainRequest request;
    Payload payload;
    EXPECT_EQ(ParseTrainRequest(grpc::ByteBuffer(&slice, 1), &request, &payload).ok(), edge.valid);
  }
}

TEST_F(ParsingTest, DataOfAPushThatIsDisplacedIsNotThatOfTheNext) {
  v1::TrainRequest first;
  first.mutable_push()->mutable_chunk()->set_data("displaced");
  v1::TrainRequest join;
  join.mutable_join()->set_run("runs/a");
  v1::TrainRequest second;
  second.mutable_push()->mutable_chunk()->set_offset(1);
  EXPECT_EQ(
      CheckParsing(
          first.SerializeAsString() + join.SerializeAsString() + second.SerializeAsString(), ""),
      "");
}

}  // namespace
}  // namespace gradd
