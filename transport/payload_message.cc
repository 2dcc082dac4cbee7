#include "transport/payload_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "core/base/error.h"
#include "transport/wire_reader.h"

namespace gradd {
namespace {

using google::protobuf::Message;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

// The fields that lead from a message to its bulk data, outermost first; the last one is the
// data itself.
using Path = absl::Span<const int>;

constexpr int kDataField = v1::ParameterChunk::kDataFieldNumber;
constexpr int kRequestPath[] = {v1::TrainRequest::kPushFieldNumber, v1::Push::kChunkFieldNumber,
                                kDataField};
constexpr int kResponsePath[] = {v1::TrainResponse::kParametersFieldNumber, kDataField};
constexpr int kChunkPath[] = {kDataField};
// The other members of the oneof that a path begins with: each displaces what came before.
constexpr int kOtherRequests[] = {v1::TrainRequest::kJoinFieldNumber,
                                  v1::TrainRequest::kHeartbeatFieldNumber,
                                  v1::TrainRequest::kLeaveFieldNumber};
constexpr int kOtherResponses[] = {
    v1::TrainResponse::kWelcomeFieldNumber, v1::TrainResponse::kPushResultFieldNumber,
    v1::TrainResponse::kEventFieldNumber, v1::TrainResponse::kSharedParametersFieldNumber};

// The slices of a ByteBuffer, and what keeps them alive.
struct Slices {
  std::vector<grpc::Slice> owned;
  std::vector<Payload::Slice> spans;
};

// Where the bulk data lies in the message, if there is any.
struct Range {
  size_t begin = 0;
  size_t size = 0;
};

void AppendVarint(size_t value, std::string* out) {
  StringOutputStream stream(out);
  CodedOutputStream(&stream).WriteVarint64(value);
}

// Walks one message until the reader's end. All that is not on `path` goes to `rest` byte for byte;
// of the field on it, `range` is set. A message on the path is walked too and goes to `rest`
// without its data. A field of `others` displaces what is on the path.
//
// What is wrong with the message and does not hinder the walk is wrong with `rest` too, since
// nothing before it was changed but lengths: the generated classes find it there.
bool Separate(WireReader* in, Path path, absl::Span<const int> others, std::string* rest,
              Range* range) {
  const uint32_t on_path =
      WireFormatLite::MakeTag(path[0], WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  while (!in->AtEnd()) {
    uint32_t tag = 0;
    if (!in->ReadTag(&tag, rest)) return false;
    if (tag != on_path) {
      if (WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED &&
          absl::c_linear_search(others, WireFormatLite::GetTagFieldNumber(tag))) {
        *range = {};
      }
      if (!in->ReadField(tag, rest)) return false;
      continue;
    }
    size_t length = 0;
    if (!in->ReadLength(&length, nullptr)) return false;
    if (path.size() == 1) {
      *range = {in->position(), length};
      if (!in->ReadBytes(length, nullptr)) return false;
      AppendVarint(0, rest);
      continue;
    }
    std::string inner;
    const size_t end = in->SetEnd(in->position() + length);
    if (!Separate(in, path.subspan(1), {}, &inner, range)) return false;
    in->SetEnd(end);
    AppendVarint(inner.size(), rest);
    rest->append(inner);
  }
  return true;
}

// The part of `slices` in `range`.
std::vector<Payload::Slice> Cut(const std::vector<Payload::Slice>& slices, const Range& range) {
  std::vector<Payload::Slice> cut;
  size_t skip = range.begin;
  size_t left = range.size;
  for (const Payload::Slice& slice : slices) {
    if (left == 0) break;
    if (skip >= slice.size()) {
      skip -= slice.size();
      continue;
    }
    const size_t take = std::min(left, slice.size() - skip);
    cut.push_back(slice.subspan(skip, take));
    skip = 0;
    left -= take;
  }
  return cut;
}

absl::Status Malformed(const Message& message) {
  return Error(absl::StatusCode::kInvalidArgument, "REQUEST_MALFORMED",
               absl::StrCat("the bytes are no ", message.GetTypeName()));
}

absl::Status Parse(const grpc::ByteBuffer& bytes, Path path, absl::Span<const int> others,
                   Message* message, Payload* payload) {
  auto slices = std::make_shared<Slices>();
  if (!bytes.Dump(&slices->owned).ok()) return Malformed(*message);
  for (const grpc::Slice& slice : slices->owned) {
    slices->spans.emplace_back(reinterpret_cast<const std::byte*>(slice.begin()), slice.size());
  }
  if (bytes.Length() > std::numeric_limits<int>::max()) return Malformed(*message);
  WireReader in(slices->spans);
  std::string rest;
  Range range;
  if (!Separate(&in, path, others, &rest, &range)) return Malformed(*message);
  if (!message->ParseFromString(rest)) return Malformed(*message);
  std::vector<Payload::Slice> cut = Cut(slices->spans, range);
  *payload = cut.empty() ? Payload() : Payload(std::move(cut), std::move(slices));
  return absl::OkStatus();
}

size_t LengthDelimitedSize(int field, size_t content) {
  const uint32_t tag = WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  return CodedOutputStream::VarintSize32(tag) +
         CodedOutputStream::VarintSize32(static_cast<uint32_t>(content)) + content;
}

void WriteHead(int field, size_t content, CodedOutputStream* out) {
  out->WriteTag(WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  out->WriteVarint32(static_cast<uint32_t>(content));
}

// What a slice borrows. gRPC hands it to the thread that releases it in ways that
// ThreadSanitizer cannot see; `handed_over` it can.
struct Borrowed {
  std::shared_ptr<const void> owner;
  std::atomic<bool> handed_over{false};
};

Borrowed* Borrow(std::shared_ptr<const void> owner) {
  auto* const borrowed = new Borrowed{std::move(owner)};
  borrowed->handed_over.store(true, std::memory_order_release);
  return borrowed;
}

void Release(void* data) {
  auto* const borrowed = static_cast<Borrowed*>(data);
  if (borrowed->handed_over.load(std::memory_order_acquire)) delete borrowed;
}

// The bytes before the data, then the data's slices, borrowed.
grpc::ByteBuffer Join(const std::string& head, const Payload& payload) {
  std::vector<grpc::Slice> slices;
  slices.reserve(1 + payload.slices().size());
  slices.emplace_back(head);
  for (const Payload::Slice& slice : payload.slices()) {
    slices.emplace_back(const_cast<std::byte*>(slice.data()), slice.size(), Release,
                        Borrow(payload.owner()));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

}  // namespace

absl::Status ParseTrainRequest(const grpc::ByteBuffer& bytes, v1::TrainRequest* message,
                               Payload* payload) {
  absl::Status status = Parse(bytes, kRequestPath, kOtherRequests, message, payload);
  // A later member of the oneof may have displaced the push that had the data.
  if (!message->has_push() || !message->push().has_chunk()) *payload = Payload();
  return status;
}

absl::Status ParseTrainResponse(const grpc::ByteBuffer& bytes, v1::TrainResponse* message,
                                Payload* payload) {
  absl::Status status = Parse(bytes, kResponsePath, kOtherResponses, message, payload);
  if (!message->has_parameters()) *payload = Payload();
  return status;
}

absl::Status ParseParameterChunk(const grpc::ByteBuffer& bytes, v1::ParameterChunk* message,
                                 Payload* payload) {
  return Parse(bytes, kChunkPath, {}, message, payload);
}

// Each writes the message without its chunk, then the head of every message on the way to the
// data. Fields may come in any order on the wire, so the data is simply last.

grpc::ByteBuffer SerializeTrainRequest(const v1::TrainRequest& message, const Payload& payload) {
  if (!message.has_push() || !message.push().has_chunk()) {
    return Join(message.SerializeAsString(), Payload());
  }
  v1::Push outside = message.push();
  outside.clear_chunk();
  const std::string push = outside.SerializeAsString();
  const std::string chunk = message.push().chunk().SerializeAsString();
  const size_t chunk_size = chunk.size() + LengthDelimitedSize(kDataField, payload.size_bytes());
  const size_t push_size =
      push.size() + LengthDelimitedSize(v1::Push::kChunkFieldNumber, chunk_size);
  std::string head;
  {
    StringOutputStream stream(&head);
    CodedOutputStream out(&stream);
    WriteHead(v1::TrainRequest::kPushFieldNumber, push_size, &out);
    out.WriteString(push);
    WriteHead(v1::Push::kChunkFieldNumber, chunk_size, &out);
    out.WriteString(chunk);
    WriteHead(kDataField, payload.size_bytes(), &out);
  }
  return Join(head, payload);
}

grpc::ByteBuffer SerializeTrainResponse(const v1::TrainResponse& message, const Payload& payload) {
  if (!message.has_parameters()) return Join(message.SerializeAsString(), Payload());
  const std::string chunk = message.parameters().SerializeAsString();
  const size_t chunk_size = chunk.size() + LengthDelimitedSize(kDataField, payload.size_bytes());
  std::string head;
  {
    StringOutputStream stream(&head);
    CodedOutputStream out(&stream);
    WriteHead(v1::TrainResponse::kParametersFieldNumber, chunk_size, &out);
    out.WriteString(chunk);
    WriteHead(kDataField, payload.size_bytes(), &out);
  }
  return Join(head, payload);
}

grpc::ByteBuffer SerializeParameterChunk(const v1::ParameterChunk& message,
                                         const Payload& payload) {
  std::string head = message.SerializeAsString();
  {
    StringOutputStream stream(&head);
    CodedOutputStream out(&stream);
    WriteHead(kDataField, payload.size_bytes(), &out);
  }
  return Join(head, payload);
}

}  // namespace gradd
