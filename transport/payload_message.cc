#include "transport/payload_message.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
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

namespace gradd {
namespace {

using google::protobuf::Message;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
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

// Reads slices as one stream, so that nothing may depend on where they were cut.
class SliceStream : public google::protobuf::io::ZeroCopyInputStream {
 public:
  explicit SliceStream(const std::vector<Payload::Slice>& slices) : slices_(slices) {}

  bool Next(const void** data, int* size) override {
    if (next_ == slices_.size()) return false;
    const Payload::Slice& slice = slices_[next_++];
    *data = slice.data();
    *size = static_cast<int>(slice.size());
    count_ += *size;
    return true;
  }
  void BackUp(int count) override {
    // What was backed up is handed out again, as a slice of its own.
    --next_;
    slices_[next_] = slices_[next_].subspan(slices_[next_].size() - static_cast<size_t>(count));
    count_ -= count;
  }
  bool Skip(int count) override {
    const void* data = nullptr;
    int size = 0;
    while (count > 0 && Next(&data, &size)) {
      if (size > count) BackUp(size - count);
      count -= std::min(size, count);
    }
    return count == 0;
  }
  int64_t ByteCount() const override { return count_; }

 private:
  std::vector<Payload::Slice> slices_;
  size_t next_ = 0;
  int64_t count_ = 0;
};

// Where the bulk data lies in the message, if there is any.
struct Range {
  int64_t begin = 0;
  int64_t size = 0;
};

// Walks one message until the stream's limit. All that is not on `path` goes to `rest`
// unchanged; of the field on it, `range` is set. A message on the path is walked too and
// goes to `rest` without its data. A field of `others` displaces what is on the path.
bool Separate(CodedInputStream* in, Path path, absl::Span<const int> others, std::string* rest,
              Range* range) {
  StringOutputStream stream(rest);
  CodedOutputStream out(&stream);
  const uint32_t on_path =
      WireFormatLite::MakeTag(path[0], WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  while (true) {
    const uint32_t tag = in->ReadTag();
    if (tag == 0) return in->ConsumedEntireMessage();
    if (tag != on_path) {
      if (WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED &&
          absl::c_linear_search(others, WireFormatLite::GetTagFieldNumber(tag))) {
        *range = {};
      }
      if (!WireFormatLite::SkipField(in, tag, &out)) return false;  // Copies it to `out`.
      continue;
    }
    int length = 0;
    if (!in->ReadVarintSizeAsInt(&length)) return false;
    if (path.size() == 1) {
      *range = {in->CurrentPosition(), length};
      if (!in->Skip(length)) return false;
      continue;
    }
    const CodedInputStream::Limit limit = in->PushLimit(length);
    if (in->BytesUntilLimit() != length) return false;
    std::string inner;
    if (!Separate(in, path.subspan(1), {}, &inner, range)) return false;
    if (in->BytesUntilLimit() != 0) return false;  // The stream ended first.
    in->PopLimit(limit);
    out.WriteTag(tag);
    out.WriteVarint32(static_cast<uint32_t>(inner.size()));
    out.WriteString(inner);
  }
}

// The part of `slices` in `range`.
std::vector<Payload::Slice> Cut(const std::vector<Payload::Slice>& slices, const Range& range) {
  std::vector<Payload::Slice> cut;
  auto skip = static_cast<size_t>(range.begin);
  auto left = static_cast<size_t>(range.size);
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
  int64_t size = 0;
  for (const grpc::Slice& slice : slices->owned) {
    slices->spans.emplace_back(reinterpret_cast<const std::byte*>(slice.begin()), slice.size());
    size += static_cast<int64_t>(slice.size());
  }
  if (size > std::numeric_limits<int>::max()) return Malformed(*message);
  std::string rest;
  Range range;
  {
    SliceStream stream(slices->spans);
    CodedInputStream in(&stream);
    if (!Separate(&in, path, others, &rest, &range)) return Malformed(*message);
  }
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
