#ifndef GRADD_SERVER_HTTP_H_
#define GRADD_SERVER_HTTP_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/run/run_registry.h"
#include "server/page_server.h"

namespace gradd {

// The HTTP pages: /metrics for Prometheus; /healthz, 200 while the server can be spoken to by gRPC
// and 503 when it cannot; /readyz, 200 while it takes sessions and 503 when it does not. The last
// two are answered at once, whatever becomes of the first.
class HttpServer {
 public:
  // Listens on `address` (HOST:PORT; port 0 takes a free one) until destroyed. `registry` and what
  // `healthy` asks must outlive it; any thread may ask.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address,
                                                           RunRegistry* registry,
                                                           std::function<bool()> healthy);

  // HOST:PORT, with the port that was bound.
  const std::string& address() const { return address_; }

 private:
  HttpServer(std::string address, Listener listener, RunRegistry* registry,
             std::function<bool()> healthy);

  const std::string address_;
  PageServer pages_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_HTTP_H_
