#include "transport/payload_message.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/base/error.h"

namespace gradd {
namespace {

// The bytes as a peer's HTTP/2 frames may deliver them.
grpc::ByteBuffer Sliced(const std::string& bytes, std::mt19937* random, size_t max_slice) {
  std::vector<grpc::Slice> slices;
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = std::min<size_t>(1 + (*random)() % max_slice, bytes.size() - at);
    slices.emplace_back(bytes.data() + at, size);
    at += size;
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string Bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

std::string Bytes(const Payload& payload) {
  std::string bytes;
  for (const Payload::Slice& slice : payload.slices()) {
    bytes.append(reinterpret_cast<const char*>(slice.data()), slice.size());
  }
  return bytes;
}

std::string RandomData(std::mt19937* random, size_t max_size) {
  std::string data((*random)() % max_size, '\0');
  for (char& c : data) c = static_cast<char>((*random)());
  return data;
}

v1::TrainRequest RandomRequest(std::mt19937* random) {
  v1::TrainRequest request;
  switch ((*random)() % 5) {
    case 0:
      request.mutable_join()->set_run("runs/a");
      request.mutable_join()->mutable_layout()->add_tensors()->set_name("w");
      break;
    case 1:
      request.mutable_heartbeat();
      break;
    default: {
      v1::Push& push = *request.mutable_push();
      if ((*random)() % 2 == 0) push.mutable_header()->set_sequence((*random)());
      if ((*random)() % 2 == 0) push.mutable_header()->set_loss(0.5);
      if ((*random)() % 2 == 0) push.mutable_commit()->set_want_parameters(true);
      if ((*random)() % 4 != 0) {
        push.mutable_chunk()->set_offset((*random)() % 3 == 0 ? -1 : (*random)());
        push.mutable_chunk()->set_data(RandomData(random, 3000));
      }
    }
  }
  return request;
}

// Puts a message together again.
template <typename GetChunk, typename MessageType>
MessageType Whole(MessageType message, const Payload& payload, GetChunk get_chunk) {
  if (payload.size_bytes() > 0) get_chunk(&message)->set_data(Bytes(payload));
  return message;
}

v1::ParameterChunk* ChunkOf(v1::TrainRequest* request) {
  return request->mutable_push()->mutable_chunk();
}

TEST(PayloadMessageTest, ReadsWhatTheGeneratedClassesWrite) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const v1::TrainRequest request = RandomRequest(&random);
    v1::TrainRequest parsed;
    Payload payload;
    ASSERT_TRUE(ParseTrainRequest(Sliced(request.SerializeAsString(), &random, 1 + seed % 400),
                                  &parsed, &payload)
                    .ok());
    EXPECT_TRUE(parsed.push().chunk().data().empty());
    EXPECT_EQ(Whole(parsed, payload, ChunkOf).SerializeAsString(), request.SerializeAsString());
  }
}

TEST(PayloadMessageTest, WritesWhatTheGeneratedClassesRead) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::string data = RandomData(&random, 5000) + "x";
    const auto owner = std::make_shared<std::string>(data);
    const Payload::Slice all(reinterpret_cast<const std::byte*>(owner->data()), owner->size());
    const size_t cut = random() % data.size();
    const Payload payload({all.first(cut), all.subspan(cut)}, owner);

    v1::TrainRequest request;
    request.mutable_push()->mutable_header()->set_sequence(7);
    request.mutable_push()->mutable_commit();
    request.mutable_push()->mutable_chunk()->set_offset(random());
    v1::TrainRequest read_request;
    ASSERT_TRUE(read_request.ParseFromString(Bytes(SerializeTrainRequest(request, payload))));
    request.mutable_push()->mutable_chunk()->set_data(data);
    EXPECT_EQ(read_request.SerializeAsString(), request.SerializeAsString());

    v1::TrainResponse response;
    response.mutable_parameters()->set_step(random());
    v1::TrainResponse read_response;
    ASSERT_TRUE(read_response.ParseFromString(Bytes(SerializeTrainResponse(response, payload))));
    response.mutable_parameters()->set_data(data);
    EXPECT_EQ(read_response.SerializeAsString(), response.SerializeAsString());

    v1::ParameterChunk chunk;
    chunk.set_parameter_count(random());
    v1::ParameterChunk read_chunk;
    ASSERT_TRUE(read_chunk.ParseFromString(Bytes(SerializeParameterChunk(chunk, payload))));
    chunk.set_data(data);
    EXPECT_EQ(read_chunk.SerializeAsString(), chunk.SerializeAsString());
  }
}

TEST(PayloadMessageTest, ReadsItsOwnResponsesAndChunks) {
  std::mt19937 random(3);
  v1::TrainResponse response;
  response.mutable_parameters()->set_offset(12);
  response.mutable_parameters()->set_data("0123456789");
  v1::TrainResponse parsed_response;
  Payload payload;
  ASSERT_TRUE(ParseTrainResponse(Sliced(response.SerializeAsString(), &random, 3), &parsed_response,
                                 &payload)
                  .ok());
  EXPECT_EQ(parsed_response.parameters().offset(), 12);
  EXPECT_EQ(Bytes(payload), "0123456789");
  v1::ParameterChunk parsed_chunk;
  ASSERT_TRUE(ParseParameterChunk(Sliced(response.parameters().SerializeAsString(), &random, 3),
                                  &parsed_chunk, &payload)
                  .ok());
  EXPECT_EQ(parsed_chunk.offset(), 12);
  EXPECT_EQ(Bytes(payload), "0123456789");
}

TEST(PayloadMessageTest, MessagesWithoutAChunkHaveNoPayload) {
  v1::TrainRequest request;
  request.mutable_heartbeat();
  v1::TrainRequest parsed;
  Payload payload;
  ASSERT_TRUE(ParseTrainRequest(SerializeTrainRequest(request, Payload()), &parsed, &payload).ok());
  EXPECT_TRUE(parsed.has_heartbeat());
  EXPECT_EQ(payload.size_bytes(), 0u);
  EXPECT_EQ(payload.owner(), nullptr);
}

// Fields of a message in reverse order, as another implementation might write them.
std::string Field(int number, const std::string& content) {
  std::string field(1, static_cast<char>(number << 3 | 2));
  for (size_t size = content.size();; size >>= 7) {
    field.push_back(static_cast<char>((size & 0x7f) | (size > 0x7f ? 0x80 : 0)));
    if (size <= 0x7f) break;
  }
  return field + content;
}

TEST(PayloadMessageTest, FieldsMayComeInAnyOrderAndMoreThanOnce) {
  std::mt19937 random(4);
  const std::string offset = "\x08\x2a";  // offset: 42
  const std::string unknown = Field(14, "unknown");
  const std::string chunk = Field(15, "old data") + unknown + Field(15, "new") + offset;
  const std::string header = "\x08\x05";  // sequence: 5
  const std::string push = Field(3, chunk) + Field(2, "") + Field(1, header);
  const std::string bytes = Field(2, push) + Field(2, Field(2, "\x08\x01"));
  v1::TrainRequest expected;
  ASSERT_TRUE(expected.ParseFromString(bytes));
  ASSERT_EQ(expected.push().chunk().data(), "new");
  for (const size_t max_slice : {1, 2, 5, 100}) {
    v1::TrainRequest parsed;
    Payload payload;
    ASSERT_TRUE(ParseTrainRequest(Sliced(bytes, &random, max_slice), &parsed, &payload).ok());
    EXPECT_EQ(Bytes(payload), "new");
    EXPECT_EQ(parsed.push().header().sequence(), 5);
    EXPECT_EQ(parsed.push().chunk().offset(), 42);
    EXPECT_TRUE(parsed.push().commit().want_parameters());
  }
}

TEST(PayloadMessageTest, RefusesTruncatedMessagesAtEveryLength) {
  v1::TrainRequest request;
  request.mutable_push()->mutable_header()->set_sequence(1'000'000);
  request.mutable_push()->mutable_chunk()->set_offset(300);
  request.mutable_push()->mutable_chunk()->set_data(std::string(200, 'd'));
  const std::string bytes = request.SerializeAsString();
  std::mt19937 random(5);
  for (size_t length = 1; length < bytes.size(); ++length) {
    v1::TrainRequest parsed;
    Payload payload;
    const absl::Status status =
        ParseTrainRequest(Sliced(bytes.substr(0, length), &random, 7), &parsed, &payload);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << length;
    EXPECT_EQ(ReasonOf(status), "REQUEST_MALFORMED");
  }
}

// libprotobuf would print a line for every broken string.
class Silence {
 public:
  Silence() : before_(google::protobuf::SetLogHandler(nullptr)) {}
  ~Silence() { google::protobuf::SetLogHandler(before_); }

 private:
  google::protobuf::LogHandler* const before_;
};

TEST(PayloadMessageTest, GarbageIsReadAsTheGeneratedClassesReadIt) {
  const Silence silence;
  int accepted = 0;
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::string bytes = RandomRequest(&random).SerializeAsString();
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0 && !bytes.empty(); --flips) {
      bytes[random() % std::min<size_t>(bytes.size(), 40)] = static_cast<char>(random());
    }
    v1::TrainRequest expected;
    const bool valid = expected.ParseFromString(bytes);
    v1::TrainRequest parsed;
    Payload payload;
    const bool ok = ParseTrainRequest(Sliced(bytes, &random, 64), &parsed, &payload).ok();
    ASSERT_EQ(ok, valid);
    if (!valid) continue;
    ++accepted;
    ASSERT_EQ(Bytes(payload), expected.push().chunk().data());
    ASSERT_EQ(parsed.request_case(), expected.request_case());
  }
  EXPECT_GT(accepted, 1000);
}

TEST(PayloadMessageTest, DataIsNeverCopiedAndItsOwnerIsReleased) {
  auto owner = std::make_shared<std::string>(100'000, 'x');
  const std::weak_ptr<std::string> weak = owner;
  const auto* const address = reinterpret_cast<const std::byte*>(owner->data());
  {
    v1::ParameterChunk chunk;
    grpc::ByteBuffer buffer =
        SerializeParameterChunk(chunk, Payload({{address, owner->size()}}, owner));
    owner.reset();
    EXPECT_FALSE(weak.expired());
    Payload parsed;
    ASSERT_TRUE(ParseParameterChunk(buffer, &chunk, &parsed).ok());
    buffer.Clear();
    ASSERT_EQ(parsed.slices().size(), 1u);
    EXPECT_EQ(parsed.slices()[0].data(), address);
    EXPECT_FALSE(weak.expired());
  }
  EXPECT_TRUE(weak.expired());
}

}  // namespace
}  // namespace gradd
