#ifndef GRADD_CORE_RUN_SESSIONS_H_
#define GRADD_CORE_RUN_SESSIONS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/executor.h"
#include "core/members/membership.h"
#include "core/run/float16_counts.h"
#include "core/run/worker_session.h"
#include "core/store/snapshot.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// How the members of a run are connected, and how their streams end. Not thread safe.
class Sessions {
 public:
  // `members` outlives this.
  Sessions(Membership* members, std::shared_ptr<Executor> pool)
      : members_(*members), pool_(std::move(pool)) {}

  // By worker id.
  const std::map<std::string, SessionPtr>& all() const { return sessions_; }
  // The same as they are now, for a loop that may end some.
  std::vector<SessionPtr> List() const;
  // Null if the worker is not connected.
  WorkerSession* Find(const std::string& worker) const;
  // Whether it is its worker's session, and not one that another took over from or that has ended.
  bool Has(const WorkerSession* session) const;
  // Those whose push is coming in, and will be skipped.
  int64_t skipping() const;
  // The member whose session this is; null unless Has().
  Member* MemberOf(const WorkerSession* session) const;

  // The session is its worker's from now on.
  void Attach(const SessionPtr& session);

  // Each of these ends the session's stream, if it goes on; the worker stays a member until its
  // lease ends. After what was sent so far;
  void End(WorkerSession* session, const absl::Status& status);
  // of a worker that may not read any more;
  void Abandon(WorkerSession* session, const absl::Status& status);
  // of one that has no claim to what is still on its way: it left, it failed, or the run is
  // deleted. A peer that does not read could otherwise keep the parameters for ever.
  void Dismiss(WorkerSession* session, const absl::Status& status);
  // Of one that is half-closed, if it waits for nothing any more.
  void EndIfHalfClosed(WorkerSession* session);
  // The stream has ended by itself.
  void Disconnected(WorkerSession* session);

  // Takes up what the session holds, if it holds something, on the pool.
  void Retry(WorkerSession* session);
  void RetryAll();

  // What a worker may be reading in shared memory, until Unmap().
  void Map(const std::string& worker, std::shared_ptr<const Snapshot> snapshot);
  void Unmap(const std::string& worker) { mapped_.erase(worker); }

  // The worker's counts, over all its sessions; null before the first SetFloat16().
  std::shared_ptr<WorkerFloat16> Float16Of(const std::string& worker) const;
  void SetFloat16(const std::string& worker, std::shared_ptr<WorkerFloat16> counts);

  // To all of them.
  void Broadcast(v1::RunEventKind event, int64_t step) const;

 private:
  void Detach(WorkerSession* session);

  Membership& members_;
  const std::shared_ptr<Executor> pool_;
  std::map<std::string, SessionPtr> sessions_;
  std::map<std::string, std::shared_ptr<const Snapshot>> mapped_;
  std::map<std::string, std::shared_ptr<WorkerFloat16>> float16_;
};

// To a session that has not ended.
void SendEvent(WorkerSession* session, v1::RunEventKind event, int64_t step);
void SendTimeline(WorkerSession* session, uint64_t timeline, int64_t step, int64_t last_sequence);
void SendTrials(WorkerSession* session, const std::vector<std::string>& names, int64_t step);

}  // namespace gradd

#endif  // GRADD_CORE_RUN_SESSIONS_H_
