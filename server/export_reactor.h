#ifndef GRADD_SERVER_EXPORT_REACTOR_H_
#define GRADD_SERVER_EXPORT_REACTOR_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/caller_shares.h"
#include "core/base/file_system.h"
#include "core/base/memory_budget.h"
#include "core/durability/checkpointer.h"
#include "gradd/v1/transfer.pb.h"
#include "server/peer_watch.h"
#include "server/reactor_link.h"
#include "server/transfers.h"

namespace gradd {

// One ExportRun: a checkpoint, piece by piece. Its caller counts as one who pulls, and is given up
// when he takes nothing. The file is open while it is sent, so that it may be removed meanwhile.
// Deletes itself when the RPC is done.
class ExportReactor : public grpc::ServerWriteReactor<v1::ExportRunResponse> {
 public:
  ExportReactor(const Transfers& transfers, grpc::CallbackServerContext* context,
                const v1::ExportRunRequest& request);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Link = ReactorLink<ExportReactor>;

  // ---- All of these by the link ----

  // Finds the checkpoint, or asks for one.
  absl::Status Begin();
  void Ask();
  absl::StatusOr<RunFolder::Checkpoint> FindKept() const;
  void Open(const absl::StatusOr<RunFolder::Checkpoint>& checkpoint);
  void SendNext();
  void End(const absl::Status& status);

  const Transfers transfers_;
  grpc::CallbackServerContext* const context_;
  const v1::ExportRunRequest request_;
  const std::unique_ptr<PeerWatch::Entry> watched_;
  const std::shared_ptr<Link> link_;
  CallerShares::Ticket ticket_;
  std::atomic<bool> cancelled_{false};

  std::shared_ptr<Checkpointer> checkpointer_;
  int asked_ = 0;        // How often for a checkpoint,
  bool awaits_ = false;  // which is not there yet.
  bool finished_ = false;
  std::shared_ptr<MemoryBudget::Claim> claim_;  // For what is on its way.
  std::unique_ptr<ReadableFile> file_;
  int64_t sent_ = 0;
  v1::ExportRunResponse message_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_EXPORT_REACTOR_H_
