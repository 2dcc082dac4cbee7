#include "server/running_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/new_file.h"
#include "server/address.h"
#include "server/malformed_requests.h"
#include "server/memory_limit.h"
#include "server/transport_settings.h"

namespace gradd {
namespace {

// The part of the memory that gRPC may have beside the pushes that come in and wait.
constexpr int64_t kTransportShare = 16;
// Ten intervals without a tick: the process stood still, and nobody could be heard.
constexpr absl::Duration kGap = absl::Seconds(1);
// How long RPCs that are ended get to say goodbye. A peer that does nothing keeps its connection
// for all of it.
constexpr std::chrono::milliseconds kShutdownGrace{500};
// After which gRPC should have closed all connections.
constexpr absl::Duration kCutAfter = absl::Milliseconds(1500);

int Threads(int threads) {
  return threads > 0 ? threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Removes what a killed server left: it says nothing about this one.
absl::Status ClearReadyFile(const std::string& path) {
  struct stat found = {};
  if (path.empty() || lstat(path.c_str(), &found) != 0) return absl::OkStatus();
  if (!S_ISREG(found.st_mode)) {
    return absl::UnavailableError(
        absl::StrCat("--ready-file: ", path, " exists and is not a regular file"));
  }
  std::remove(path.c_str());
  return absl::OkStatus();
}

ServerOptions WithMemoryLimit(ServerOptions options) {
  if (options.limits.max_memory_bytes == 0) {
    options.limits.max_memory_bytes = MemoryForRuns(ReadMemoryLimits());
  }
  return options;
}

}  // namespace

RunningServer::RunningServer(const ServerOptions& options)
    : options_(WithMemoryLimit(options)),
      clock_(Clock::Real(), kGap),
      registry_(options_.limits, Threads(options.threads), &clock_, options.block_elements),
      peer_watch_(&clock_, options_.peer_patience),
      heap_trim_(&clock_, heap_),
      training_service_(&registry_, &peer_watch_),
      run_service_(&registry_, &streams_, &peer_watch_, &past_),
      runs_file_(options_.runs_file) {
  registry_.budget().SetHeap(heap_);
}

absl::Status RunningServer::Begin() {
  if (absl::Status cleared = ClearReadyFile(options_.ready_file); !cleared.ok()) return cleared;
  if (absl::Status opened = OpenStateDirectory(); !opened.ok()) return opened;
  run_service_.KeepIn(durable_runs_.get(), disk_threads_.Share());
  if (absl::Status read = ReadPast(); !read.ok()) return read;
  if (absl::Status listening = Listen(); !listening.ok()) return listening;
  log_writer_ = std::make_unique<LogWriter>(&registry_);
  BeginRunsFile();  // The address is this server's by now, and so is the file.
  if (durable_runs_ != nullptr) durable_runs_->Recover();
  ticker_ = std::thread([this] { TickUntilStopped(); });
  alarms_ = std::thread([this] { registry_.alarms().RingUntilStopped(); });
  return WriteReadyFile();
}

absl::Status RunningServer::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  const std::string path = UnixPath(options_.listen);
  absl::StatusOr<Listener> listener =
      path.empty() ? Listener::BindTcp(*ParseHostPort("listen", options_.listen))
                   : Listener::BindUnix(SocketFile::PrivatePath(path));
  if (!listener.ok()) {
    return absl::UnavailableError(absl::StrCat("--listen: cannot listen on ", options_.listen, ": ",
                                               listener.status().message()));
  }
  grpc_address_ = options_.listen;
  if (path.empty()) {
    grpc_address_ =
        absl::StrCat(ParseHostPort("listen", options_.listen)->host, ":", listener->port());
  } else {
    auto published = SocketFile::Publish(path);
    if (!published.ok()) {
      unlink(SocketFile::PrivatePath(path).c_str());
      return absl::UnavailableError(absl::StrCat("--listen: ", published.status().message()));
    }
    socket_file_ = *std::move(published);
  }
  grpc::ServerBuilder builder;
  auto acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  builder.RegisterService(&training_service_);
  builder.RegisterService(&run_service_);
  const MemoryBudget::Limits memory = BudgetLimits(options_.limits);
  // What gRPC has received lies in buffers that are larger than it.
  ConfigureTransport(memory.of(MemoryUse::kStaging) / 2 * 3 + memory.total / kTransportShare,
                     &builder);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(MakeMalformedRequests());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr) return absl::UnavailableError("gRPC could not start");
  health_.emplace(&registry_.clock(), GrpcHealth::Through(grpc_->InProcessChannel({})));
  ConnectionLimits connections = ConnectionLimits::OfThisProcess();
  if (options_.max_connections > 0) {
    connections = ConnectionLimits::InAll(static_cast<size_t>(options_.max_connections));
  }
  accept_loop_ =
      std::make_unique<AcceptLoop>(*std::move(listener), connections, std::move(acceptor));
  if (!options_.http.empty()) {
    auto http = HttpServer::Start(options_.http, &registry_, [this] { return Healthy(); });
    if (!http.ok()) return http.status();
    http_ = *std::move(http);
    http_address_ = http_->address();
  }
  return absl::OkStatus();
}

bool RunningServer::Healthy() const { return health_->healthy() && accept_loop_->accepting(); }

absl::Status RunningServer::WriteReadyFile() {
  if (options_.ready_file.empty()) return absl::OkStatus();
  const auto file = NewFile::Create(options_.ready_file);
  absl::Status written = file.status();
  if (written.ok()) {
    written = (*file)->Write(absl::StrCat("grpc=", grpc_address_, "\nhttp=", http_address_, "\n"));
  }
  if (written.ok()) written = (*file)->Commit();
  if (!written.ok()) {
    return absl::UnavailableError(absl::StrCat("--ready-file: ", written.message()));
  }
  ready_ = true;
  return absl::OkStatus();
}

absl::Status RunningServer::OpenStateDirectory() {
  if (options_.state_dir.empty()) return absl::OkStatus();
  DurableRuns::Options options;
  options.directory = options_.state_dir;
  options.checkpoint_bytes_per_second = options_.checkpoint_bytes_per_second;
  if (!options_.on_checkpoint.empty()) {
    checkpoint_hook_ = std::make_unique<CheckpointHook>(options_.on_checkpoint);
    options.checkpoint_made = [this](const std::string& run_id, const std::string& path) {
      checkpoint_hook_->Run(run_id, path);
    };
  }
  auto opened =
      DurableRuns::Open(FileSystem::Real(), std::move(options), &disk_threads_, &registry_);
  if (!opened.ok()) {
    return absl::UnavailableError(absl::StrCat("--state-dir: ", opened.status().message()));
  }
  durable_runs_ = *std::move(opened);
  return absl::OkStatus();
}

bool RunningServer::KeepsRunsFile() const {
  return !options_.runs_file.empty() && durable_runs_ == nullptr;
}

absl::Status RunningServer::ReadPast() {
  if (!KeepsRunsFile()) return absl::OkStatus();
  const auto last = ReadRunsFile(options_.runs_file);
  if (last.ok()) {
    past_.lost_runs = last->runs;
    past_.lost_text = LostRunsText(*last);
  } else if (last.status().code() == absl::StatusCode::kInvalidArgument) {
    return absl::UnavailableError(
        absl::StrCat("--runs-file: ", options_.runs_file,
                     " is there and is not a file of runs: ", last.status().message()));
  }
  return absl::OkStatus();
}

void RunningServer::BeginRunsFile() {
  if (durable_runs_ != nullptr) return;
  spdlog::info("runs are in memory only, and end with the server; --state-dir keeps them");
  if (!past_.lost_text.empty()) spdlog::warn("{}", past_.lost_text);
  // What it serves for is not worth doing without a server.
  if (const absl::Status written = runs_file_.Write([this] { return RunsNow(false); });
      !written.ok()) {
    spdlog::warn("--runs-file: {}; the next server cannot say what was lost with this one",
                 std::string(written.message()));
  }
}

RunsRecord RunningServer::RunsNow(bool stopped) const {
  RunsRecord record{past_.since, clock_.WallTime(), stopped, {}};
  for (const auto& run : registry_.All()) {
    if (!run->is_trial()) record.runs.push_back({run->run_id(), run->Progress().step()});
  }
  return record;
}

void RunningServer::KeepRunsFile() {
  if (!KeepsRunsFile() || !runs_file_schedule_.Due(clock_.Elapsed(), registry_.changes())) {
    return;
  }
  // A disk may take its time, or for ever: that holds up no step and no second record.
  if (runs_file_is_written_.exchange(true)) return;
  runs_file_thread_.Schedule([this] {
    runs_file_.Write([this] { return RunsNow(false); }).IgnoreError();
    runs_file_is_written_ = false;
  });
}

void RunningServer::EndRunsFile() {
  if (durable_runs_ != nullptr) return;
  const RunsRecord record = RunsNow(true);
  if (!record.runs.empty()) {
    spdlog::warn(record.runs.size() == 1
                     ? "{} run ends with the server: it is in its memory only"
                     : "{} runs end with the server: they are in its memory only",
                 record.runs.size());
  }
  if (const absl::Status written = runs_file_.End(record); !written.ok()) {
    spdlog::warn("--runs-file: {}", std::string(written.message()));
  }
}

void RunningServer::TickUntilStopped() {
  absl::Duration asleep;
  MutexLock lock(&mutex_);
  while (!stopped_) {
    mutex_.Unlock();
    clock_.Elapsed();
    if (const absl::Duration slept = clock_.asleep() - asleep; slept > absl::ZeroDuration()) {
      asleep += slept;
      spdlog::warn("the server stood still for {}; leases and deadlines are longer by that",
                   absl::FormatDuration(absl::Trunc(slept, absl::Milliseconds(1))));
    }
    registry_.Tick();
    if (durable_runs_ != nullptr) durable_runs_->Tick();
    streams_.Tick();
    health_->Tick();
    peer_watch_.Tick();
    heap_trim_.Tick(registry_.claimed_bytes());
    KeepRunsFile();
    mutex_.Lock();
    if (!stopped_) stopped_changed_.WaitFor(&mutex_, kTickInterval);
  }
}

int64_t RunningServer::Sessions() const {
  int64_t sessions = 0;
  for (const auto& run : registry_.All()) sessions += run->ReadMetrics().connected_workers;
  return sessions;
}

void RunningServer::Stop() {
  if (ready_) std::remove(options_.ready_file.c_str());
  if (grpc_ != nullptr) {
    if (auto* const health = grpc_->GetHealthCheckService()) health->SetServingStatus(false);
    registry_.Drain();
    const absl::Duration begin = registry_.clock().Elapsed();
    {
      MutexLock lock(&mutex_);
      while (Sessions() > 0 && registry_.clock().Elapsed() - begin < options_.drain) {
        stopped_changed_.WaitFor(&mutex_, kTickInterval);
      }
    }
    registry_.EndAllSessions();
    streams_.EndAll();
    if (durable_runs_ != nullptr) durable_runs_->Stop(options_.last_checkpoints);
    EndRunsFile();
    socket_file_.reset();
    http_.reset();
    accept_loop_->Stop();
    health_->Stop();
    ShutDownGrpc();
    accept_loop_.reset();
  }
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
  }
  stopped_changed_.NotifyAll();
  if (ticker_.joinable()) ticker_.join();
  registry_.alarms().Stop();
  if (alarms_.joinable()) alarms_.join();
  log_writer_.reset();
  grpc_.reset();
}

void RunningServer::ShutDownGrpc() {
  // gRPC 1.51 puts the end of a connection and of its calls off until what it writes there is
  // written: where the peer stands still, for ever.
  bool shut_down = false;  // Guarded by mutex_.
  std::thread cutter([&] {
    const absl::Duration begin = Clock::Real()->Elapsed();
    MutexLock lock(&mutex_);
    while (!shut_down) {
      const absl::Duration left = kCutAfter - (Clock::Real()->Elapsed() - begin);
      if (left <= absl::ZeroDuration()) return accept_loop_->CutConnections();
      stopped_changed_.WaitFor(&mutex_, left);
    }
  });
  grpc_->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  grpc_->Wait();
  {
    MutexLock lock(&mutex_);
    shut_down = true;
  }
  stopped_changed_.NotifyAll();
  cutter.join();
}

RunningServer::~RunningServer() {
  if (grpc_ != nullptr || ticker_.joinable()) Stop();
}

}  // namespace gradd
