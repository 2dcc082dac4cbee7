#ifndef GRADD_SERVER_PULL_REACTOR_H_
#define GRADD_SERVER_PULL_REACTOR_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/run/run_registry.h"
#include "core/store/version_readers.h"
#include "gradd/v1/training_service.pb.h"
#include "server/peer_watch.h"
#include "server/reactor_link.h"

namespace gradd {

// One Pull: a snapshot, block by block, unless it loses that to who needs the memory. It may have
// to wait for it, and is cancelled meanwhile. Deletes itself when the RPC is done.
class PullReactor : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  PullReactor(RunRegistry* registry, PeerWatch* watch, grpc::CallbackServerContext* context,
              const grpc::ByteBuffer& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  absl::Status Start(RunRegistry* registry, const grpc::ByteBuffer& bytes);
  void Take(std::shared_ptr<const Snapshot> snapshot, const absl::Status& why_none);
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  using Link = ReactorLink<PullReactor>;

  RunRegistry* const registry_;
  grpc::CallbackServerContext* const context_;
  const std::unique_ptr<PeerWatch::Entry> watched_;
  v1::PullRequest request_;
  CallerShares::Ticket ticket_;  // Of the caller's pulls.
  const std::shared_ptr<Link> link_ = std::make_shared<Link>(this);

  Mutex mutex_;
  std::shared_ptr<VersionReaders::Hold> hold_ ABSL_GUARDED_BY(mutex_);
  size_t next_block_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::ByteBuffer writing_bytes_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gradd

#endif  // GRADD_SERVER_PULL_REACTOR_H_
