#include "server/http.h"

#include <CivetServer.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/address.h"
#include "server/metrics.h"

namespace gradd {
namespace {

// A connection that sends nothing keeps a thread until the time-out and the queue's place until
// then. With these numbers, a few hundred of them delay others for less than two seconds.
std::vector<std::string> Options(const std::string& address) {
  return {"listening_ports",    address, "num_threads",    "64",   "connection_queue",  "1024",
          "request_timeout_ms", "300",   "listen_backlog", "1024", "enable_keep_alive", "no"};
}

void Reply(mg_connection* connection, const char* status, const char* type,
           const std::string& body) {
  mg_printf(connection,
            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            status, type, body.size());
  mg_write(connection, body.data(), body.size());
}

}  // namespace

class HttpServer::Pages {
 public:
  class MetricsPage : public CivetHandler {
   public:
    explicit MetricsPage(RunRegistry* registry) : metrics_(registry) {}
    bool handleGet(CivetServer* /*server*/, mg_connection* connection) override {
      const prometheus::TextSerializer serializer;
      Reply(connection, "200 OK", "text/plain; version=0.0.4; charset=utf-8",
            serializer.Serialize(metrics_.Collect()));
      return true;
    }

   private:
    Metrics metrics_;
  };

  class HealthPage : public CivetHandler {
   public:
    bool handleGet(CivetServer* /*server*/, mg_connection* connection) override {
      Reply(connection, "200 OK", "text/plain", "ok\n");
      return true;
    }
  };

  class ReadyPage : public CivetHandler {
   public:
    explicit ReadyPage(RunRegistry* registry) : registry_(registry) {}
    bool handleGet(CivetServer* /*server*/, mg_connection* connection) override {
      const bool ready = !registry_->draining();
      Reply(connection, ready ? "200 OK" : "503 Service Unavailable", "text/plain",
            ready ? "ready\n" : "stopping\n");
      return true;
    }

   private:
    RunRegistry* const registry_;
  };

  Pages(const std::vector<std::string>& options, RunRegistry* registry)
      : metrics(registry), readiness(registry), server(options) {
    server.addHandler("/metrics$", metrics);
    server.addHandler("/healthz$", health);
    server.addHandler("/readyz$", readiness);
  }
  // Before the server, which calls them until it is destroyed.
  MetricsPage metrics;
  HealthPage health;
  ReadyPage readiness;
  CivetServer server;
};

HttpServer::HttpServer() = default;
HttpServer::~HttpServer() = default;

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address,
                                                              RunRegistry* registry) {
  const absl::StatusOr<HostPort> wanted = ParseHostPort("http", address);
  if (!wanted.ok()) return wanted.status();
  std::unique_ptr<HttpServer> http(new HttpServer());
  try {
    http->pages_ = std::make_unique<Pages>(Options(address), registry);
  } catch (const CivetException& error) {
    return absl::UnavailableError(
        absl::StrCat("--http: cannot listen on ", address, ": ", error.what()));
  }
  const std::vector<int> ports = http->pages_->server.getListeningPorts();
  if (ports.empty()) {
    return absl::UnavailableError(absl::StrCat("--http: cannot listen on ", address));
  }
  http->address_ = absl::StrCat(wanted->host, ":", ports[0]);
  return http;
}

}  // namespace gradd
