#include "tests/transport/parse_check.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "gradd/v1/training_service.pb.h"

namespace gradd {
namespace {

// Messages to begin from, and parts of messages to put in.
std::vector<std::string> Seeds() {
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

// Puts together, cuts, swaps and changes a few bytes.
std::string Mutate(const std::vector<std::string>& seeds, std::mt19937* random) {
  const auto below = [random](size_t bound) { return (*random)() % bound; };
  std::string bytes = seeds[below(seeds.size())];
  const size_t changes = below(6);
  for (size_t i = 0; i < changes; ++i) {
    const size_t at = below(bytes.size() + 1);
    switch (below(5)) {
      case 0:
        bytes.insert(at, seeds[below(seeds.size())]);
        break;
      case 1:
        bytes += seeds[below(seeds.size())];
        break;
      case 2:
        bytes.erase(at, below(4));
        break;
      case 3:
        bytes.insert(at, 1, static_cast<char>(below(256)));
        break;
      default:
        if (at < bytes.size())
          bytes[at] = static_cast<char>(below(2) == 0 ? below(256) : below(40));
    }
  }
  return bytes;
}

class ParsingTest : public testing::Test {
 protected:
  ParsingTest() : handler_(google::protobuf::SetLogHandler(nullptr)) {}
  ~ParsingTest() override { google::protobuf::SetLogHandler(handler_); }

 private:
  google::protobuf::LogHandler* const handler_;  // It would print a line for each wrong string.
};

TEST_F(ParsingTest, OfAnyBytesIsThatOfTheGeneratedClasses) {
  const std::vector<std::string> seeds = Seeds();
  for (unsigned seed = 0; seed < 50'000; ++seed) {
    std::mt19937 random(seed);
    const std::string bytes = Mutate(seeds, &random);
    std::string cuts(random() % 5, '\0');
    for (char& cut : cuts) cut = static_cast<char>(random() % 20);
    ASSERT_EQ(CheckParsing(bytes, cuts), "") << "seed " << seed;
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
