#include "server/transport_settings.h"

#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>

#include "transport/receive_buffers.h"

namespace gradd {
namespace {

// An honest connection has one or a few streams; one with many of them is a test, or a gateway.
constexpr int kMaxStreamsPerConnection = 1000;
// A request's metadata is less than 1 KiB, unless somebody passes tokens on.
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr int kHandshakeTimeoutMs = 10'000;
// What a connection may send ahead of what is read, for the sake of far peers: gRPC finds by itself
// how much that should be, up to some MiB. Where memory is little, it is a part of it.
constexpr int64_t kFreeLookaheadMemory = int64_t{4} << 30;
constexpr int64_t kLookaheadShare = 512;
constexpr int kMaxIdleMs = 10 * 60 * 1000;  // A client without RPCs connects again when it has one.

}  // namespace

void ConfigureTransport(int64_t memory_bytes, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  // A message may be a thousandth of what it unpacks to. A call whose client says that it
  // compresses is refused; a message whose flag says so all the same stays as it is.
  builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  builder->AddChannelArgument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
                              1 << GRPC_COMPRESS_NONE);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxIdleMs);
  // The most that HTTP/2 allows: a chunk comes in few pieces then.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, (1 << 24) - 1);
  builder->AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReceiveBufferBytes);
  if (memory_bytes < kFreeLookaheadMemory) {
    const int64_t lookahead = std::max<int64_t>(memory_bytes / kLookaheadShare, 64 << 10);
    builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, static_cast<int>(lookahead));
  }
  // Half-open connections are found within 15 seconds.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  grpc::ResourceQuota quota("gradd");
  quota.Resize(static_cast<size_t>(std::max<int64_t>(memory_bytes, 64 << 20)));
  builder->SetResourceQuota(quota);
}

}  // namespace gradd
