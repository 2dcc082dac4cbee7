#include "tests/benchmarks/server_process.h"

#include <grpcpp/create_channel.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/benchmarks/figure.h"
#include "tests/support/http_get.h"

namespace gradd {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);
constexpr char kBlockAllocations[] = "gradd_run_block_allocations_total";

}  // namespace

ServerProcess::ServerProcess(std::vector<std::string> command) {
  std::string directory = "/tmp/gradd_benchmark.XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) Fail("no temporary directory");
  const std::string ready_file = directory + "/ready";
  command.insert(command.end(), {"--ready-file", ready_file});
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  const absl::Time give_up = absl::Now() + kStartTimeout;
  while (access(ready_file.c_str(), R_OK) != 0) {
    if (absl::Now() > give_up || waitpid(pid_, nullptr, WNOHANG) != 0) {
      Fail(absl::StrCat(command[0], " does not serve"));
    }
    absl::SleepFor(absl::Milliseconds(5));
  }
  std::ifstream file(ready_file);
  for (std::string line; std::getline(file, line);) {
    const size_t equals = line.find('=');
    addresses_[line.substr(0, equals)] = line.substr(equals + 1);
  }
  unlink(ready_file.c_str());
  rmdir(directory.c_str());
}

ServerProcess::~ServerProcess() {
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

int64_t ServerProcess::MemoryBytes(const std::string& field) const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
  std::string name;
  while (file >> name) {
    if (name == field + ":") {
      int64_t kib = 0;
      file >> kib;
      return kib * 1024;
    }
  }
  Fail(absl::StrCat("no ", field, " of process ", pid_));
}

namespace {

std::vector<std::string> CommandOf(const std::string& program,
                                   const std::vector<std::string>& options) {
  std::vector<std::string> command = {program,       "--listen",    "127.0.0.1:0", "--http",
                                      "127.0.0.1:0", "--log-level", "warn"};
  command.insert(command.end(), options.begin(), options.end());
  return command;
}

}  // namespace

GraddProcess::GraddProcess(const std::string& program, const std::vector<std::string>& options)
    : process_(CommandOf(program, options)),
      runs_(v1::RunService::NewStub(
          grpc::CreateChannel(address(), grpc::InsecureChannelCredentials()))) {}

void GraddProcess::CreateRun(const std::string& run_id, int64_t elements, int workers) {
  v1::Run run;
  v1::Tensor& tensor = *run.mutable_layout()->add_tensors();
  tensor.set_name("w");
  tensor.add_shape(elements);
  run.mutable_optimizer()->mutable_adam();
  run.mutable_schedule()->set_learning_rate(1e-3);
  run.mutable_policy()->mutable_synchronous()->set_workers(workers);
  CreateRun(run_id, run);
}

void GraddProcess::CreateRun(const std::string& run_id, const v1::Run& run) {
  v1::CreateRunRequest request;
  request.set_run_id(run_id);
  *request.mutable_run() = run;
  grpc::ClientContext context;
  v1::Run created;
  const grpc::Status status = runs_->CreateRun(&context, request, &created);
  if (!status.ok()) Fail(absl::StrCat("run ", run_id, ": ", status.error_message()));
}

bool GraddProcess::HasRun(const std::string& run_id) const {
  v1::GetRunRequest request;
  request.set_name(absl::StrCat("runs/", run_id));
  grpc::ClientContext context;
  v1::Run run;
  const grpc::Status status = runs_->GetRun(&context, request, &run);
  if (status.ok()) return true;
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return false;
  Fail(absl::StrCat("run ", run_id, ": ", status.error_message()));
}

void GraddProcess::UpdateRun(const std::string& run_id, v1::Run values,
                             const std::vector<std::string>& paths) {
  v1::UpdateRunRequest request;
  *request.mutable_run() = std::move(values);
  request.mutable_run()->set_name(absl::StrCat("runs/", run_id));
  for (const std::string& path : paths) request.mutable_update_mask()->add_paths(path);
  grpc::ClientContext context;
  v1::Run updated;
  const grpc::Status status = runs_->UpdateRun(&context, request, &updated);
  if (!status.ok()) Fail(absl::StrCat("run ", run_id, ": ", status.error_message()));
}

v1::StepProfile GraddProcess::Profile(const std::string& run_id) const {
  v1::GetRunRequest request;
  request.set_name(absl::StrCat("runs/", run_id));
  grpc::ClientContext context;
  v1::Run run;
  const grpc::Status status = runs_->GetRun(&context, request, &run);
  if (!status.ok()) Fail(absl::StrCat("run ", run_id, ": ", status.error_message()));
  return run.progress().profile();
}

int64_t GraddProcess::BlockAllocations() const {
  const absl::StatusOr<std::string> scrape = HttpGet(process_.address("http"), "/metrics");
  if (!scrape.ok()) Fail(std::string(scrape.status().message()));
  std::istringstream metrics(*scrape);
  int64_t sum = 0;
  bool found = false;
  for (std::string line; std::getline(metrics, line);) {
    if (line.rfind(absl::StrCat(kBlockAllocations, "{"), 0) != 0) continue;
    sum += std::stoll(line.substr(line.rfind(' ')));
    found = true;
  }
  if (!found) Fail(absl::StrCat("the server has no metric ", kBlockAllocations));
  return sum;
}

}  // namespace gradd
