#include "server/server.h"

#include <utility>

#include "server/running_server.h"

namespace gradd {

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  if (absl::Status valid = ValidateOptions(options); !valid.ok()) return valid;
  auto server = std::make_unique<RunningServer>(options);
  if (absl::Status begun = server->Begin(); !begun.ok()) return begun;
  return server;
}

}  // namespace gradd
