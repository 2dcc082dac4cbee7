#ifndef GRADD_TESTS_SUPPORT_COMPLETE_PUSH_H_
#define GRADD_TESTS_SUPPORT_COMPLETE_PUSH_H_

#include <string>
#include <thread>

#include "core/run/run.h"

namespace gradd {

// Waits until the run has a complete push of `worker` that waits for its step. (Its memory is
// claimed earlier, when its header comes.)
inline void AwaitCompletePush(const Run& run, const std::string& worker) {
  for (;; std::this_thread::yield()) {
    const v1::Run described = run.Describe(Run::Detail::kWorkers);
    for (const v1::WorkerStatus& status : described.workers()) {
      if (status.worker() == worker && status.state() == v1::WORKER_STATE_WAITING) return;
    }
  }
}

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_COMPLETE_PUSH_H_
