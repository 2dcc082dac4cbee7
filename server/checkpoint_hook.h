#ifndef GRADD_SERVER_CHECKPOINT_HOOK_H_
#define GRADD_SERVER_CHECKPOINT_HOOK_H_

#include <sys/types.h>

#include <map>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace gradd {

// Runs a command for each checkpoint that is made, to copy it elsewhere: with `sh -c`, the file's
// path as its $1, and GRADD_RUN in its environment. One at a time, on a thread of its own and in a
// process group of its own; of a run whose command has not begun, only the newest one is. What it
// fails with is logged, and changes nothing. Thread safe.
class CheckpointHook {
 public:
  explicit CheckpointHook(std::string command, absl::Duration patience = absl::Seconds(10));
  // Waits for the commands, the last ones too, for `patience` at most; then they are killed, or
  // never begin.
  ~CheckpointHook();

  void Run(const std::string& run_id, const std::string& path);

 private:
  void RunAll();
  void RunOne(const std::string& run_id, const std::string& path);

  const std::string command_;
  const absl::Duration patience_;
  Mutex mutex_;
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;  // None begins any more once all have been.
  bool over_ ABSL_GUARDED_BY(mutex_) = false;     // None begins any more.
  bool done_ ABSL_GUARDED_BY(mutex_) = false;     // The thread is.
  pid_t child_ ABSL_GUARDED_BY(mutex_) = 0;       // That runs now.
  std::map<std::string, std::string> waiting_ ABSL_GUARDED_BY(mutex_);  // Paths by run.
  std::thread thread_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_CHECKPOINT_HOOK_H_
