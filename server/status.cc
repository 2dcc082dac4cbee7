#include "server/status.h"

#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/error.h"

namespace gradd {
namespace {

// Messages travel in the trailing metadata, percent-encoded, and peers refuse more than 8 KiB of
// that: then even the code is lost.
constexpr size_t kMostBytes = 4000;
constexpr size_t kBytesOfEnd = 1000;

// How long `character` becomes on the wire.
size_t EncodedBytes(char character) {
  return character >= ' ' && character <= '~' && character != '%' ? 1 : 3;
}

// Of a long message the beginning, which says what is wrong, and the end, which says what was
// expected.
std::string Bounded(absl::string_view message) {
  size_t bytes = 0;
  for (const char character : message) bytes += EncodedBytes(character);
  if (bytes <= kMostBytes) return std::string(message);
  const auto continues = [message](size_t at) {
    return (static_cast<unsigned char>(message[at]) & 0xc0) == 0x80;
  };
  size_t begin = 0;
  for (size_t left = kMostBytes - kBytesOfEnd; left >= EncodedBytes(message[begin]); ++begin) {
    left -= EncodedBytes(message[begin]);
  }
  while (continues(begin)) --begin;
  size_t end = message.size();
  for (size_t left = kBytesOfEnd - 5; left >= EncodedBytes(message[end - 1]); --end) {
    left -= EncodedBytes(message[end - 1]);
  }
  while (continues(end)) ++end;
  return absl::StrCat(message.substr(0, begin), " ... ", message.substr(end));
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status, grpc::CallbackServerContext* context) {
  if (status.ok()) return grpc::Status::OK;
  context->AddTrailingMetadata("gradd-reason", ReasonOf(status));
  // Abseil's codes are gRPC's, by value: both are google.rpc.Code.
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()), Bounded(status.message()));
}

}  // namespace gradd
