#ifndef GRADD_SERVER_GUARDED_RECEIVE_H_
#define GRADD_SERVER_GUARDED_RECEIVE_H_

#include <memory>

#include "server/call_rates.h"

namespace gradd {

// From now on a FrameGuard reads along what this process receives by the open socket `descriptor`,
// an HTTP/2 client's that is not encrypted, from its first byte on; when the client goes too far,
// its connection is reset. False if the descriptor's number is too high to be watched.
//
// gRPC has no place for this. So guarded_receive.cc defines recvmsg() for the whole program, which
// is what gRPC receives by; all that it adds to the system call is the look at what came by a
// socket that is watched. To be removed with a gRPC that has bounds of its own (1.57 or newer).
// `rate` is that of the client's host.
bool GuardReceived(int descriptor, std::shared_ptr<CallRate> rate);

}  // namespace gradd

#endif  // GRADD_SERVER_GUARDED_RECEIVE_H_
