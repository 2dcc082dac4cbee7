#ifndef GRADD_SERVER_LOG_WRITER_H_
#define GRADD_SERVER_LOG_WRITER_H_

#include <thread>

#include "core/base/mutex.h"
#include "core/run/run_registry.h"
#include "server/memory_watch.h"

namespace gradd {

// Writes to the log what happens in the runs, and when memory comes near a limit: on a thread of
// its own, so that only the log waits for whoever reads it.
class LogWriter {
 public:
  // `registry` outlives it.
  explicit LogWriter(RunRegistry* registry);
  // Writes what is there still.
  ~LogWriter();
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

 private:
  void WriteUntilStopped();
  void Write();

  RunRegistry* const registry_;
  MemoryWatch memory_;
  Mutex mutex_;
  CondVar stopped_changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_LOG_WRITER_H_
