#ifndef GRADD_SERVER_IMPORT_REACTOR_H_
#define GRADD_SERVER_IMPORT_REACTOR_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>

#include "absl/status/status.h"
#include "core/base/caller_shares.h"
#include "core/durability/run_import.h"
#include "core/run/run.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/transfer.pb.h"
#include "server/peer_watch.h"
#include "server/reactor_link.h"
#include "server/transfers.h"

namespace gradd {

// One ImportRun. One request is read at a time, and its caller is given up when he sends none.
// Deletes itself when the RPC is done.
class ImportReactor : public grpc::ServerReadReactor<v1::ImportRunRequest> {
 public:
  ImportReactor(const Transfers& transfers, grpc::CallbackServerContext* context,
                v1::Run* response);

  void OnReadDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  using Link = ReactorLink<ImportReactor>;

  // ---- All of these by the link ----

  void Read();
  // A request has come.
  absl::Status Take();
  // There are no more of them.
  void Complete();
  // Answers when that is durable.
  void Answer(const std::shared_ptr<Run>& run, bool is_new);
  // The file goes first.
  void End(const absl::Status& status);

  const Transfers transfers_;
  grpc::CallbackServerContext* const context_;
  v1::Run* const response_;
  const std::unique_ptr<PeerWatch::Entry> watched_;
  const std::shared_ptr<Link> link_;
  CallerShares::Ticket ticket_;
  std::atomic<bool> cancelled_{false};

  v1::ImportRunRequest message_;
  std::unique_ptr<RunImport> import_;
  bool awaits_ = false;  // That the run is durable.
  bool finished_ = false;
};

}  // namespace gradd

#endif  // GRADD_SERVER_IMPORT_REACTOR_H_
