#ifndef GRADD_SERVER_OPTIONS_H_
#define GRADD_SERVER_OPTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/run/limits.h"
#include "core/store/block.h"

namespace gradd {

// How a server is started; `gradd --help` explains the flags of the same names.
struct ServerOptions {
  std::string listen = "127.0.0.1:50051";  // HOST:PORT or unix:PATH; port 0: a free one.
  std::string http = "127.0.0.1:9464";     // HOST:PORT; empty: no HTTP.
  std::string ready_file;                  // There while the server serves; empty: none.
  std::string runs_file;                   // See RunsRecord; empty: none.
  std::string state_dir;                   // See DurableRuns; empty: runs live in memory.
  std::string on_checkpoint;               // See CheckpointHook; empty: none.
  int64_t checkpoint_bytes_per_second = int64_t{256} << 20;
  absl::Duration last_checkpoints = absl::Seconds(60);  // They may take so long when it is stopped.
  Limits limits;                // max_memory_bytes 0: MemoryForRuns() at the start.
  int64_t max_connections = 0;  // To gRPC; 0: what descriptors and memory allow.
  int threads = 0;              // That apply steps; 0: one per core.
  absl::Duration drain = absl::Seconds(8);
  // For tests.
  absl::Duration peer_patience = absl::Minutes(1);  // See PeerWatch.
  int64_t block_elements = kBlockElements;
};

// OK, or what is wrong with which option.
absl::Status ValidateOptions(const ServerOptions& options);

}  // namespace gradd

#endif  // GRADD_SERVER_OPTIONS_H_
