#ifndef GRADD_SERVER_CHECKPOINT_HOOK_H_
#define GRADD_SERVER_CHECKPOINT_HOOK_H_

#include <map>
#include <string>
#include <thread>

#include "core/base/mutex.h"

namespace gradd {

// Runs a command for each checkpoint that is made, to copy it elsewhere: with `sh -c`, the file's
// path as its $1, and GRADD_RUN in its environment. One at a time, on a thread of its own; of a run
// whose command has not begun, only the newest one is. What it fails with is logged, and changes
// nothing. Thread safe.
class CheckpointHook {
 public:
  explicit CheckpointHook(std::string command);
  // Waits for the command that runs; those that have not begun never do.
  ~CheckpointHook();

  void Run(const std::string& run_id, const std::string& path);

 private:
  void RunAll();
  void RunOne(const std::string& run_id, const std::string& path) const;

  const std::string command_;
  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> waiting_ ABSL_GUARDED_BY(mutex_);  // Paths by run.
  std::thread thread_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_CHECKPOINT_HOOK_H_
