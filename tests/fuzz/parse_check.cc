#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gradd/v1/training_service.pb.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"
#include "transport/payload_message.h"

namespace gradd {
namespace {

grpc::ByteBuffer Sliced(absl::string_view bytes, absl::string_view cuts) {
  std::vector<grpc::Slice> slices;
  for (const absl::string_view piece : Cut(bytes, cuts)) {
    slices.emplace_back(piece.data(), piece.size());
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string BytesOf(const Payload& payload) {
  std::string bytes;
  for (const Payload::Slice& slice : payload.slices()) {
    bytes.append(reinterpret_cast<const char*>(slice.data()), slice.size());
  }
  return bytes;
}

template <typename MessageType, typename Parse, typename GetChunk>
std::string Compare(absl::string_view bytes, absl::string_view cuts, Parse parse,
                    GetChunk get_chunk) {
  MessageType expected;
  const bool valid = expected.ParseFromString(std::string(bytes));
  MessageType parsed;
  Payload payload;
  const absl::Status status = parse(Sliced(bytes, cuts), &parsed, &payload);
  if (status.ok() != valid) {
    return absl::StrCat(parsed.GetTypeName(), valid ? ": valid" : ": not valid", ", found ",
                        status.ToString(), ": ", absl::CHexEscape(bytes));
  }
  if (!valid) return "";
  if (payload.size_bytes() > 0) get_chunk(&parsed)->set_data(BytesOf(payload));
  if (parsed.SerializeAsString() == expected.SerializeAsString()) return "";
  return absl::StrCat(parsed.GetTypeName(), ": found ", parsed.ShortDebugString(), ", expected ",
                      expected.ShortDebugString(), ": ", absl::CHexEscape(bytes));
}

}  // namespace

std::string CheckParsing(absl::string_view bytes, absl::string_view cuts) {
  return absl::StrCat(Compare<v1::TrainRequest>(bytes, cuts, ParseTrainRequest,
                                                [](v1::TrainRequest* request) {
                                                  return request->mutable_push()->mutable_chunk();
                                                }),
                      Compare<v1::TrainResponse>(bytes, cuts, ParseTrainResponse,
                                                 [](v1::TrainResponse* response) {
                                                   return response->mutable_parameters();
                                                 }),
                      Compare<v1::ParameterChunk>(bytes, cuts, ParseParameterChunk,
                                                  [](v1::ParameterChunk* chunk) { return chunk; }));
}

}  // namespace gradd
