#ifndef GRADD_TESTS_SUPPORT_LOOPBACK_H_
#define GRADD_TESTS_SUPPORT_LOOPBACK_H_

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>

namespace gradd {

// 127.0.0.1 with that port; 0: one that is free.
sockaddr_in Loopback(int port);

// Sends all of it, at most `piece_bytes` at a time; false if the connection breaks before.
bool SendAll(int socket, const void* data, size_t size, size_t piece_bytes = SIZE_MAX);

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_LOOPBACK_H_
