#ifndef GRADD_SERVER_HTTP_H_
#define GRADD_SERVER_HTTP_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/run/run_registry.h"

namespace gradd {

// The HTTP pages: /metrics for Prometheus; /healthz, 200 while the process lives; /readyz,
// 200 while it takes sessions and 503 when it does not.
class HttpServer {
 public:
  // Listens on `address` (HOST:PORT; port 0 takes a free one) until destroyed. `registry`
  // must outlive it.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address,
                                                           RunRegistry* registry);
  ~HttpServer();

  // HOST:PORT, with the port that was bound.
  const std::string& address() const { return address_; }

 private:
  class Pages;
  HttpServer();

  std::string address_;
  std::unique_ptr<Pages> pages_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_HTTP_H_
