#include "server/http.h"

#include <prometheus/text_serializer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/address.h"
#include "server/listener.h"
#include "server/metrics.h"

namespace gradd {
namespace {

Page YesOrNo(bool well, const char* yes, const char* no) {
  Page page;
  page.status = well ? "200 OK" : "503 Service Unavailable";
  page.body = absl::StrCat(well ? yes : no, "\n");
  return page;
}

PageServer::Pages PagesOf(RunRegistry* registry, std::function<bool()> healthy) {
  PageServer::Pages pages;
  pages.quick["/healthz"] = [healthy = std::move(healthy)] {
    return YesOrNo(healthy(), "ok", "gRPC does not answer");
  };
  pages.quick["/readyz"] = [registry] {
    return YesOrNo(!registry->draining(), "ready", "stopping");
  };
  pages.slow["/metrics"] = [metrics = std::make_shared<Metrics>(registry)] {
    return Page{"200 OK", "text/plain; version=0.0.4; charset=utf-8",
                prometheus::TextSerializer().Serialize(metrics->Collect())};
  };
  return pages;
}

}  // namespace

HttpServer::HttpServer(std::string address, Listener listener, RunRegistry* registry,
                       std::function<bool()> healthy)
    : address_(std::move(address)),
      pages_(std::move(listener), PagesOf(registry, std::move(healthy))) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address,
                                                              RunRegistry* registry,
                                                              std::function<bool()> healthy) {
  const absl::StatusOr<HostPort> wanted = ParseHostPort("http", address);
  if (!wanted.ok()) return wanted.status();
  absl::StatusOr<Listener> listener = Listener::BindTcp(*wanted);
  if (!listener.ok()) {
    return absl::UnavailableError(
        absl::StrCat("--http: cannot listen on ", address, ": ", listener.status().message()));
  }
  std::string bound = absl::StrCat(wanted->host, ":", listener->port());
  return std::unique_ptr<HttpServer>(
      new HttpServer(std::move(bound), *std::move(listener), registry, std::move(healthy)));
}

}  // namespace gradd
