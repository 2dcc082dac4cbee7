#ifndef GRADD_SERVER_ACCEPT_LOOP_H_
#define GRADD_SERVER_ACCEPT_LOOP_H_

#include <grpcpp/server_builder.h>

#include <atomic>
#include <memory>
#include <thread>

#include "server/call_rates.h"
#include "server/connection_table.h"
#include "server/descriptor.h"
#include "server/listener.h"

namespace gradd {

// Accepts connections on a thread of its own and hands them to gRPC. gRPC's own loop (1.51) takes
// as many as there are descriptors, and closes its listener for good when they are used up. This
// one refuses what is beyond its limits, by closing it, and goes on.
class AcceptLoop {
 public:
  // `acceptor` is of a gRPC server that has been started.
  AcceptLoop(Listener listener, const ConnectionLimits& limits,
             std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor);
  ~AcceptLoop() { Stop(); }
  AcceptLoop(const AcceptLoop&) = delete;
  AcceptLoop& operator=(const AcceptLoop&) = delete;

  // Accepts no more. Connections live on.
  void Stop();
  // Shuts down the connections that gRPC has not closed yet. After Stop().
  void CutConnections() { table_.ShutDownAll(); }

  // False while connections cannot be accepted at all, for want of descriptors for instance.
  bool accepting() const { return accepting_.load(); }

 private:
  void Run();
  // Takes one connection from the socket; false if there is none to be had now.
  bool AcceptFrom(const Descriptor& socket);
  void Refused(const std::string& why);

  Listener listener_;
  ConnectionTable table_;
  CallRates rates_;
  const std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  const Descriptor wake_;  // An eventfd, readable when the loop is to end.
  std::atomic<bool> accepting_{true};
  // Refusals since the last one that was logged.
  int64_t refused_ = 0;
  absl::Duration logged_ = -absl::InfiniteDuration();
  std::thread thread_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_ACCEPT_LOOP_H_
