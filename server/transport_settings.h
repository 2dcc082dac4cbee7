#ifndef GRADD_SERVER_TRANSPORT_SETTINGS_H_
#define GRADD_SERVER_TRANSPORT_SETTINGS_H_

#include <grpcpp/server_builder.h>

#include <cstdint>

namespace gradd {

// The largest message that a peer may send.
constexpr int kMaxMessageBytes = 2 << 20;

// How the server's gRPC speaks to its peers, and what they may take of it: sizes of messages,
// frames and metadata, streams per connection, and how long a connection may be half-open, silent
// or without an RPC. Messages that are compressed are refused (UNIMPLEMENTED): gRPC would unpack
// them before it looks at their size.
//
// What gRPC holds of its peers' messages is kept near `memory_bytes`: above it, windows shrink and
// streams of the peers that send most are ended. Messages that core has staged count. So that this
// does not come to pass with honest peers, what each may send ahead is little where memory is.
void ConfigureTransport(int64_t memory_bytes, grpc::ServerBuilder* builder);

}  // namespace gradd

#endif  // GRADD_SERVER_TRANSPORT_SETTINGS_H_
