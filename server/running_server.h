#ifndef GRADD_SERVER_RUNNING_SERVER_H_
#define GRADD_SERVER_RUNNING_SERVER_H_

#include <grpcpp/server.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "core/base/awake_clock.h"
#include "core/base/mutex.h"
#include "core/base/thread_pool.h"
#include "core/durability/durable_runs.h"
#include "core/run/run_registry.h"
#include "server/accept_loop.h"
#include "server/checkpoint_hook.h"
#include "server/grpc_health.h"
#include "server/heap_trim.h"
#include "server/http.h"
#include "server/log_writer.h"
#include "server/options.h"
#include "server/past.h"
#include "server/peer_watch.h"
#include "server/run_service.h"
#include "server/runs_file.h"
#include "server/server.h"
#include "server/socket_file.h"
#include "server/ticked_streams.h"
#include "server/training_service.h"

namespace gradd {

// All that a server consists of.
class RunningServer final : public Server {
 public:
  explicit RunningServer(const ServerOptions& options);
  ~RunningServer() override;

  // Serves when it returns. After an error Stop() ends what was begun.
  absl::Status Begin();

  const std::string& grpc_address() const override { return grpc_address_; }
  const std::string& http_address() const override { return http_address_; }
  const MemoryBudget::Limits& memory_limits() const override { return registry_.budget().limits(); }
  void Stop() override;
  RunRegistry* registry() override { return &registry_; }

 private:
  // What waits for the disk: of one run it is done one after the other.
  static constexpr int kDiskThreads = 4;

  absl::Status Listen();
  absl::Status WriteReadyFile();
  // Whether gRPC takes connections and answers.
  bool Healthy() const;
  // Finds out what was lost with the last server, if its file of runs is there.
  absl::Status ReadPast();
  // Takes the state directory, if there is to be one.
  absl::Status OpenStateDirectory();
  // Whether this server writes down which runs would be lost with it.
  bool KeepsRunsFile() const;
  // Says so, and begins this server's own.
  void BeginRunsFile();
  RunsRecord RunsNow(bool stopped) const;
  // Writes it on the pool, when it is due.
  void KeepRunsFile();
  void EndRunsFile();
  void ShutDownGrpc();
  void TickUntilStopped();
  int64_t Sessions() const;

  const ServerOptions options_;
  AwakeClock clock_;  // The ticker looks at it.
  Past past_;
  RunRegistry registry_;
  std::unique_ptr<LogWriter> log_writer_;  // While it serves.
  TickedStreams streams_;
  PeerWatch peer_watch_;
  const std::shared_ptr<Heap> heap_ = std::make_shared<Heap>();
  HeapTrim heap_trim_;  // The ticker's.
  TrainingService training_service_;
  RunService run_service_;
  std::unique_ptr<SocketFile> socket_file_;  // Of a unix-domain address.
  std::unique_ptr<grpc::Server> grpc_;
  std::optional<GrpcHealth> health_;  // Of grpc_.
  std::unique_ptr<AcceptLoop> accept_loop_;
  std::unique_ptr<HttpServer> http_;
  bool ready_ = false;  // The ready file is there.
  RunsFile runs_file_;
  RunsFileSchedule runs_file_schedule_;  // The ticker's.
  std::string grpc_address_;
  std::string http_address_;

  Mutex mutex_;
  CondVar stopped_changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread ticker_;
  std::thread alarms_;
  std::atomic<bool> runs_file_is_written_{false};  // Now, or in a moment.
  std::unique_ptr<CheckpointHook> checkpoint_hook_;
  ThreadPool disk_threads_{kDiskThreads};
  std::unique_ptr<DurableRuns> durable_runs_;
  // Last, so that it is done before what it uses goes.
  ThreadPool runs_file_thread_{1};
};

}  // namespace gradd

#endif  // GRADD_SERVER_RUNNING_SERVER_H_
