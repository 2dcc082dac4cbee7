#ifndef GRADD_CORE_RUN_SESSIONS_H_
#define GRADD_CORE_RUN_SESSIONS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/run/float16_counts.h"
#include "core/run/worker_session.h"
#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// How the members of a run are connected, and what goes to them. Not thread safe.
class Sessions {
 public:
  // By worker id.
  const std::map<std::string, SessionPtr>& all() const { return sessions_; }
  // Null if the worker is not connected.
  WorkerSession* Find(const std::string& worker) const;
  // Whether it is its worker's session, and not one that another took over from or that has ended.
  bool Has(const WorkerSession* session) const;

  void Attach(const SessionPtr& session);
  void Detach(const WorkerSession* session);

  // What a worker may be reading in shared memory, until Unmap().
  void Map(const std::string& worker, std::shared_ptr<const Snapshot> snapshot);
  void Unmap(const std::string& worker) { mapped_.erase(worker); }

  // The worker's counts, over all its sessions; null before the first SetFloat16().
  std::shared_ptr<WorkerFloat16> Float16Of(const std::string& worker) const;
  void SetFloat16(const std::string& worker, std::shared_ptr<WorkerFloat16> counts);

  // To all of them.
  void Broadcast(v1::RunEventKind event, int64_t step) const;

 private:
  std::map<std::string, SessionPtr> sessions_;
  std::map<std::string, std::shared_ptr<const Snapshot>> mapped_;
  std::map<std::string, std::shared_ptr<WorkerFloat16>> float16_;
};

// To a session that has not ended.
void SendEvent(WorkerSession* session, v1::RunEventKind event, int64_t step);
void SendTimeline(WorkerSession* session, uint64_t timeline, int64_t step);
void SendTrials(WorkerSession* session, const std::vector<std::string>& names, int64_t step);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SESSIONS_H_
