#ifndef GRADD_TESTS_BENCHMARKS_SERVER_PROCESS_H_
#define GRADD_TESTS_BENCHMARKS_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gradd/v1/run_service.grpc.pb.h"

namespace gradd {

// A server on loopback in a process of its own, as in reality. It ends with this object, or with
// the thread that made it.
class ServerProcess {
 public:
  // Starts `command` with `--ready-file FILE` at its end and returns when the file is there.
  explicit ServerProcess(std::vector<std::string> command);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Of a line `protocol=address` in the ready file.
  const std::string& address(const std::string& protocol) const { return addresses_.at(protocol); }

  pid_t id() const { return pid_; }

  // A size in /proc/PID/status: VmRSS, the resident memory, or VmHWM, the most it ever was.
  int64_t MemoryBytes(const std::string& field) const;

 private:
  pid_t pid_ = -1;
  std::map<std::string, std::string> addresses_;
};

// A gradd with runs to measure.
class GraddProcess {
 public:
  // With these options beside those of all.
  explicit GraddProcess(const std::string& program, const std::vector<std::string>& options = {});

  const std::string& address() const { return process_.address("grpc"); }
  const ServerProcess& process() const { return process_; }

  // Creates a synchronous run of one tensor of `elements`, with Adam.
  void CreateRun(const std::string& run_id, int64_t elements, int workers);
  void CreateRun(const std::string& run_id, const v1::Run& run);

  // False while the run is being recovered.
  bool HasRun(const std::string& run_id) const;

  // Changes the fields `paths` of a run to those of `values`.
  void UpdateRun(const std::string& run_id, v1::Run values, const std::vector<std::string>& paths);

  // Smoothed mean of the run's steps: see StepProfile in gradd/v1/run.proto.
  v1::StepProfile Profile(const std::string& run_id) const;

  // Blocks that the server has had to take from the heap so far, over all runs.
  int64_t BlockAllocations() const;

 private:
  ServerProcess process_;
  std::unique_ptr<v1::RunService::Stub> runs_;
};

}  // namespace gradd

#endif  // GRADD_TESTS_BENCHMARKS_SERVER_PROCESS_H_
