// gradd: the server's command line. The server itself is server/server.h.

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <malloc.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <type_traits>

#include "absl/synchronization/mutex.h"
#include "cli/program_options.h"
#include "cli/signals.h"
#include "core/base/utf8.h"
#include "core/base/version.h"
#include "server/options.h"
#include "server/probe.h"
#include "server/runs_file.h"
#include "server/server.h"

namespace {

constexpr char kFooter[] =
    "Every option can also be given as an environment variable (GRADD_MAX_RUNS for\n"
    "--max-runs) or in a file of lines like max-runs=10 (--config, GRADD_CONFIG).\n"
    "\n"
    "SIGTERM, SIGINT and, unless it is ignored as with nohup, SIGHUP stop the server:\n"
    "workers are told, pushes in flight are finished, and it exits with 0. SIGQUIT ends\n"
    "it at once. Exit codes: 0 stopped, 1 could not start or\n"
    "--probe found no healthy server, 2 wrong usage.";

template <typename T>
void AddOption(CLI::App* app, const std::string& name, T* value, const std::string& help) {
  CLI::Option* const option = app->add_option("--" + name, *value, help)
                                  ->envname(gradd::VariableOf(name))
                                  ->capture_default_str();
  if constexpr (std::is_integral_v<T>) option->check(gradd::CheckWhole<T>);
}

// Says what is wrong, and returns the exit code that goes with it.
int Fail(const absl::Status& status) {
  std::fprintf(stderr, "gradd: %s\n", std::string(status.message()).c_str());
  return status.code() == absl::StatusCode::kInvalidArgument ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "gradd, a parameter server: holds the parameters and the optimizer state of many\n"
      "training runs; workers stream in gradients and get fresh parameters back.",
      "gradd");
  gradd::ServerOptions options;
  options.runs_file = "auto";
  int64_t drain_seconds = absl::ToInt64Seconds(options.drain);
  int64_t last_checkpoint_seconds = absl::ToInt64Seconds(options.last_checkpoints);
  std::string log_level = "info";
  std::string probe;
  AddOption(&app, "listen", &options.listen,
            "Address for gRPC, HOST:PORT or unix:PATH; port 0 takes a free one. There is no "
            "authentication: leave it on loopback unless the network is yours");
  AddOption(&app, "http", &options.http,
            "Address for /metrics, /healthz and /readyz; empty for none");
  AddOption(&app, "ready-file", &options.ready_file,
            "There while the server serves, with lines grpc=HOST:PORT and http=HOST:PORT");
  AddOption(
      &app, "runs-file", &options.runs_file,
      "Names and steps of the runs, written when runs have come or gone and every five seconds, "
      "from which the next server "
      "in this place says what was lost: runs are in memory only. `auto` is a file of the "
      "address below $XDG_STATE_HOME/gradd or ~/.local/state/gradd; none if --listen has "
      "port 0; empty for none");
  AddOption(
      &app, "state-dir", &options.state_dir,
      "Directory in which runs outlive the server; made if it is not there, and no other "
      "server's at the same time. Without it, runs are in memory only, and end with the server");
  AddOption(&app, "checkpoint-bytes-per-second", &options.checkpoint_bytes_per_second,
            "Most that the checkpoints of a run are written with");
  AddOption(
      &app, "on-checkpoint", &options.on_checkpoint,
      "Command that is run, by sh, for each checkpoint that was made, with its path as $1 and "
      "the run's id as $GRADD_RUN: to copy it elsewhere. That it fails is logged");
  AddOption(
      &app, "last-checkpoint-seconds", &last_checkpoint_seconds,
      "Longest time that last checkpoints may take when the server is stopped; without one, a "
      "run with a journal goes on from that, and another one from the checkpoint before");
  AddOption(&app, "max-runs", &options.limits.max_runs, "Most runs at a time");
  AddOption(&app, "max-parameters-per-run", &options.limits.max_parameters_per_run,
            "Most parameters of one run");
  AddOption(&app, "max-workers-per-run", &options.limits.max_workers_per_run,
            "Most live workers of one run");
  AddOption(&app, "max-watches", &options.limits.max_watches,
            "Most streams of gradctl watch and the like at a time");
  AddOption(&app, "max-pulls", &options.limits.max_pulls,
            "Most downloads of parameters at a time, beside those of workers");
  AddOption(&app, "max-unjoined-streams", &options.limits.max_unjoined_streams,
            "Most workers' streams at a time that have not joined a run yet");
  AddOption(&app, "max-trial-runs", &options.limits.max_trial_runs,
            "Most runs for trials, of gradctl race and lr-find, at a time; they do not count as "
            "runs");
  AddOption(&app, "max-imports", &options.limits.max_imports,
            "Most files of weights that come in at a time, of gradctl create --from and import");
  AddOption(&app, "caller-percent", &options.limits.caller_percent,
            "Percentage of each of these five that one caller may have: all who call from one "
            "host, or through one proxy");
  AddOption(&app, "max-memory-bytes", &options.limits.max_memory_bytes,
            "Most bytes of everything that runs take: parameters and optimizer state, gradients "
            "that wait, shared memory, older parameters that somebody still reads; 0 for as much "
            "as there is at the start: the machine's memory, or the limit of the control group or "
            "of ulimit -v where that is smaller, but for a reserve of a tenth for the program and "
            "its connections, at least 64 MiB");
  AddOption(&app, "max-state-bytes", &options.limits.max_state_bytes,
            "Most bytes of them for parameters and optimizer state; 0 for no limit of their own");
  AddOption(&app, "max-staged-bytes", &options.limits.max_staged_bytes,
            "Most bytes of them for gradients that wait for their step; when they are reached, "
            "the server reads no further pushes until there is room, but for small ones, which "
            "may take a 32nd more; 0 for half of the memory");
  AddOption(&app, "max-shared-bytes", &options.limits.max_shared_bytes,
            "Most bytes of them, and a quarter at most, for shared memory into which workers on "
            "this host write their gradients; without room, or with 0, they use the stream. A "
            "run's parameters lie in shared memory "
            "too then, in up to 8 versions where workers hold old ones");
  AddOption(&app, "max-connections", &options.max_connections,
            "Most connections to gRPC, of which one host may have half; further ones are closed at "
            "once. 0 for half of the descriptors the process may have (ulimit -Hn), or fewer where "
            "memory is small");
  AddOption(&app, "threads", &options.threads, "Threads that apply steps; 0 for one per core");
  AddOption(
      &app, "drain-seconds", &drain_seconds,
      "Longest time that pushes in flight get when the server is stopped; one of which nothing "
      "has come for two seconds gets no more");
  AddOption(&app, "log-level", &log_level, "trace, debug, info, warn, error or off");
  app.add_option(
      "--probe", probe,
      "Do not serve: ask the server whose --listen address this is (grpc.health.v1), and "
      "exit with 0 if it serves");
  gradd::AddConfigOption(&app, "GRADD_CONFIG");
  app.set_version_flag("--version", std::string("gradd ") + gradd::kVersion);
  app.footer(kFooter);
  gradd::RefuseEmptyValues(&app, {"--http", "--runs-file"});
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return gradd::ExitAfterParsing(app, error);
  }
  if (app.count("--probe") > 0) {
    const absl::Status healthy = gradd::ProbeHealth(probe);
    return healthy.ok() ? 0 : Fail(healthy);
  }
  options.drain = absl::Seconds(drain_seconds);
  options.last_checkpoints = absl::Seconds(last_checkpoint_seconds);
  if (options.runs_file == "auto") options.runs_file = gradd::DefaultRunsFile(options.listen);
  spdlog::set_default_logger(spdlog::stderr_logger_mt("gradd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  const auto level = spdlog::level::from_str(log_level);
  if (level == spdlog::level::off && log_level != "off") {
    std::fprintf(stderr,
                 "gradd: --log-level: %s is none of trace, debug, info, warn, error, "
                 "off\n",
                 gradd::Quoted(log_level).c_str());
    return 2;
  }
  spdlog::set_level(level);

  // Regions of shared memory and connections are files.
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }

  // A heap per thread would keep what the pushes read by that thread have left free, and the next
  // one may be read by another thread: up to a whole staged push more for every heap.
  mallopt(M_ARENA_MAX, 1);

  // What a step leaves free is what the next one needs. Given back and taken again, each page of it
  // would be zeroed by the kernel at every step, at 2 to 15 microseconds a page. malloc_trim()
  // gives it back, when it is not needed any more.
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // The most that there is.

  // Debian's Abseil, and so gRPC, would look for cycles at every lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);

  // It would print a line for every malformed string that a peer sends.
  google::protobuf::SetLogHandler(nullptr);

  // So would gRPC, in a form of its own.
  gpr_set_log_function([](gpr_log_func_args* line) { spdlog::debug("gRPC: {}", line->message); });

  // Blocked before any thread starts, so that only sigwait() below sees them.
  const sigset_t signals = gradd::StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  gradd::IgnoreStraySignals();

  auto server = gradd::Server::Start(options);
  if (!server.ok()) return Fail(server.status());
  spdlog::info("gradd {} serves gRPC on {} and HTTP on {}", gradd::kVersion,
               (*server)->grpc_address(),
               (*server)->http_address().empty() ? "none" : (*server)->http_address());
  const gradd::MemoryBudget::Limits& memory = (*server)->memory_limits();
  spdlog::info("runs may take {} bytes of memory, {} of them for gradients that wait", memory.total,
               memory.of(gradd::MemoryUse::kStaging));
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("stopping on {}: finishing pushes in flight", strsignal(signal_number));
  (*server)->Stop();
  spdlog::info("stopped");
  return 0;
}
