#ifndef GRADD_SERVER_SERVER_H_
#define GRADD_SERVER_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/memory_budget.h"
#include "server/options.h"

namespace gradd {

class RunRegistry;

// A running gradd. Tests start it in their own process. What it is made of is running_server.h's,
// so that who starts one need not compile it.
class Server {
 public:
  // Serves when it returns; what was started is stopped again if something fails.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);

  // Stops, if Stop() has not been called.
  virtual ~Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Where it listens, with the port that was bound. http is empty if switched off.
  virtual const std::string& grpc_address() const = 0;
  virtual const std::string& http_address() const = 0;

  // Bytes that runs may take.
  virtual const MemoryBudget::Limits& memory_limits() const = 0;

  // Tells the sessions that it stops, lets pushes in flight finish, for options.drain at
  // most, then ends everything. Call once.
  virtual void Stop() = 0;

  virtual RunRegistry* registry() = 0;

 protected:
  Server() = default;
};

}  // namespace gradd

#endif  // GRADD_SERVER_SERVER_H_
