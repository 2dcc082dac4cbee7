#include "server/options.h"

#include <sys/un.h>

#include "absl/strings/str_cat.h"
#include "server/address.h"
#include "server/socket_file.h"

namespace gradd {
namespace {

absl::Status CheckListen(const std::string& address) {
  if (address.empty()) {
    return absl::InvalidArgumentError("--listen: empty, HOST:PORT or unix:PATH expected");
  }
  const std::string path = UnixPath(address);
  if (path.empty()) return ParseHostPort("listen", address).status();
  constexpr size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;
  const size_t bytes = SocketFile::PrivatePath(path).size();
  if (bytes <= kMaxPathBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--listen: ", address, " has a path of ", path.size(), " bytes, at most ",
                   kMaxPathBytes - (bytes - path.size()), " expected"));
}

absl::Status CheckRange(const char* option, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", option, ": ", value, " is outside [", low, ", ", high, "]"));
}

}  // namespace

absl::Status ValidateOptions(const ServerOptions& options) {
  const Limits& limits = options.limits;
  absl::Status status = CheckListen(options.listen);
  if (!options.http.empty()) status.Update(ParseHostPort("http", options.http).status());
  status.Update(CheckRange("max-runs", limits.max_runs, 1, 100'000));
  status.Update(
      CheckRange("max-parameters-per-run", limits.max_parameters_per_run, 1, int64_t{1} << 40));
  status.Update(CheckRange("max-workers-per-run", limits.max_workers_per_run, 1, 100'000));
  status.Update(CheckRange("max-watches", limits.max_watches, 1, 1'000'000));
  status.Update(CheckRange("max-pulls", limits.max_pulls, 1, 1'000'000));
  status.Update(CheckRange("max-unjoined-streams", limits.max_unjoined_streams, 1, 1'000'000));
  status.Update(CheckRange("max-trial-runs", limits.max_trial_runs, 1, 100'000));
  status.Update(CheckRange("max-imports", limits.max_imports, 1, 1000));
  status.Update(CheckRange("caller-percent", limits.caller_percent, 1, 100));
  status.Update(CheckRange("max-memory-bytes", limits.max_memory_bytes, 0, int64_t{1} << 50));
  status.Update(CheckRange("max-staged-bytes", limits.max_staged_bytes, 0, int64_t{1} << 50));
  status.Update(CheckRange("max-state-bytes", limits.max_state_bytes, 0, int64_t{1} << 50));
  status.Update(CheckRange("max-shared-bytes", limits.max_shared_bytes, 0, int64_t{1} << 50));
  status.Update(CheckRange("max-connections", options.max_connections, 0, 1'000'000));
  status.Update(CheckRange("threads", options.threads, 0, 1024));
  status.Update(CheckRange("checkpoint-bytes-per-second", options.checkpoint_bytes_per_second,
                           int64_t{1} << 10, int64_t{1} << 50));
  status.Update(CheckRange("last-checkpoint-seconds",
                           absl::ToInt64Seconds(options.last_checkpoints), 0, 86'400));
  status.Update(CheckRange("drain-seconds", absl::ToInt64Seconds(options.drain), 0, 3600));
  return status;
}

}  // namespace gradd
