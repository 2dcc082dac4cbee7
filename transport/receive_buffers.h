#ifndef GRADD_TRANSPORT_RECEIVE_BUFFERS_H_
#define GRADD_TRANSPORT_RECEIVE_BUFFERS_H_

namespace gradd {

// The most that gRPC takes at a time for what it receives (GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE), on
// both sides. By itself it takes up to 4 MiB: as large as that, malloc maps each buffer anew, and
// every page of it is touched for the first time for every message. Larger ones save no CPU time.
inline constexpr int kReceiveBufferBytes = 64 << 10;

}  // namespace gradd

#endif  // GRADD_TRANSPORT_RECEIVE_BUFFERS_H_
