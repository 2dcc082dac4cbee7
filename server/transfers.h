#ifndef GRADD_SERVER_TRANSFERS_H_
#define GRADD_SERVER_TRANSFERS_H_

#include <memory>

#include "core/base/executor.h"
#include "core/durability/durable_runs.h"
#include "core/run/run_registry.h"
#include "server/peer_watch.h"

namespace gradd {

// What the RPCs work with by which whole files go out and come in. All outlives them.
struct Transfers {
  RunRegistry* registry = nullptr;
  PeerWatch* watch = nullptr;
  std::shared_ptr<Executor> io;  // Does what waits for the disk.
  DurableRuns* runs = nullptr;   // Null: there is no state directory.
};

}  // namespace gradd

#endif  // GRADD_SERVER_TRANSFERS_H_
