#include "client/channel.h"

#include <grpc/grpc.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "transport/receive_buffers.h"

namespace gradd {
namespace {

// The most that HTTP/2 allows: a chunk comes in few pieces then.
constexpr int kMaxFrameBytes = (1 << 24) - 1;

absl::Status CheckAddress(const std::string& server) {
  if (absl::StartsWith(server, "unix:") && server.size() > 5) return absl::OkStatus();
  const size_t colon = server.rfind(':');
  int port = 0;
  if (colon != std::string::npos && colon > 0 && !absl::StrContains(server, '/') &&
      absl::SimpleAtoi(server.substr(colon + 1), &port) && port > 0 && port < 65536) {
    return absl::OkStatus();
  }
  const bool is_url = absl::StrContains(server, "://");
  return Error(
      absl::StatusCode::kInvalidArgument, "ADDRESS_INVALID",
      absl::StrCat("server address ", Quoted(server), " is not of the form HOST:PORT or unix:PATH",
                   is_url ? "; it is no URL: leave out what begins it, as http://" : ""));
}

// Whether `server`, which is a valid address, is this host: no proxy could reach it.
bool IsThisHost(const std::string& server) {
  const absl::string_view host = absl::string_view(server).substr(0, server.rfind(':'));
  return absl::StartsWith(server, "unix:") || absl::EqualsIgnoreCase(host, "localhost") ||
         absl::StartsWith(host, "127.") || host == "[::1]";
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& server) {
  GRADD_RETURN_IF_ERROR(CheckAddress(server));
  grpc::ChannelArguments arguments;
  // A new channel must be a new connection, or a broken one would be found again.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kMaxFrameBytes);
  arguments.SetInt(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReceiveBufferBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // gRPC would ask the proxy of `http_proxy` for it.
  if (IsThisHost(server)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status FromGrpcStatus(const grpc::Status& status, const std::string& reason) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (reason.empty()) return absl::Status(code, status.error_message());
  return Error(code, reason, status.error_message());
}

}  // namespace gradd
