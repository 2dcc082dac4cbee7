#ifndef GRADD_SERVER_TRAIN_REACTOR_H_
#define GRADD_SERVER_TRAIN_REACTOR_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <string>

#include "core/base/mutex.h"
#include "core/run/run_registry.h"
#include "core/run/session_sink.h"
#include "core/run/worker_session.h"
#include "core/store/block.h"
#include "core/store/version_readers.h"
#include "server/peer_watch.h"
#include "server/response_queue.h"

namespace gradd {

// One Train stream. Reads the next request when the session has taken the last one:
// whatever the session holds, the peer is held back by HTTP/2 flow control. Deletes itself
// when the RPC is done.
class TrainReactor : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                     public SessionSink {
 public:
  TrainReactor(RunRegistry* registry, PeerWatch* watch, grpc::CallbackServerContext* context);

  // SessionSink.
  bool same_host() const override;
  void Send(v1::TrainResponse message) override;
  void Flush() override;
  void SendParameters(std::shared_ptr<const Snapshot> snapshot, v1::Encoding encoding) override;
  void ResumeReading() override;
  void End(absl::Status status) override;
  void Abandon(absl::Status status) override;

  // ServerBidiReactor.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  std::shared_ptr<WorkerSession> session() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    return session_;
  }
  // Reads the next request, unless the peer leaves too many responses unread.
  void ReadNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the next block can be sent; if not, Wake() is called when it can.
  bool NextBlockIsFinal(const Snapshot& snapshot, size_t block)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts to write the next block of the first snapshot in the queue, if it is final.
  void WriteBlock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the RPC without what waits to be sent. False if a write is on its way: ExpectParting(),
  // then, without the lock.
  bool Drop(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes on; or, if the queue had no room, the same as Drop().
  bool AddedOrDropped(bool added) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The peer has a few seconds for the write that is on its way.
  void ExpectParting();
  // Writes on, now that a block is final.
  void Wake();
  // Whether all that there is to write is a result that what follows it may come to at once.
  bool WaitsForParameters() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts the next write or, at the end, finishes the RPC; one of them at a time.
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // For the log, which may take its time: not to be called with a lock held.
  // Whether the session begins with this join, if it is welcome.
  bool NoteJoin(const v1::Join& join);
  void NoteLeave();
  void LogJoin();
  void LogEnd();

  const std::shared_ptr<VersionReaders> readers_;
  grpc::CallbackServerContext* const context_;
  // Until it has joined, then the run's lease holds; and when it is abandoned, until it has taken
  // what is on its way.
  const std::unique_ptr<PeerWatch::Entry> watched_;
  // Of the caller's streams that have not joined; null once it has.
  CallerShares::Ticket unjoined_ ABSL_GUARDED_BY(mutex_);
  const std::shared_ptr<BlockPool> buffers_ = BlockPool::Create();  // For what is encoded here.

  // gRPC's threads hand this reactor on by means that ThreadSanitizer cannot see; every
  // reaction takes the lock first, which it can.
  Mutex mutex_;
  std::shared_ptr<WorkerSession> session_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer incoming_ ABSL_GUARDED_BY(mutex_);  // gRPC's, while a read is on its way.
  bool read_waits_ ABSL_GUARDED_BY(mutex_) = false;    // For room in outgoing_.
  // What wakes this reactor may come after its end.
  struct Waker {
    Mutex mutex;
    TrainReactor* reactor ABSL_GUARDED_BY(mutex);
  };
  const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
  bool block_waits_ ABSL_GUARDED_BY(mutex_) = false;  // For becoming final.
  ResponseQueue outgoing_ ABSL_GUARDED_BY(mutex_);
  bool flushed_ ABSL_GUARDED_BY(mutex_) = true;  // Nothing of it waits for what follows.
  grpc::ByteBuffer writing_bytes_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<VersionReaders::Hold> writing_hold_ ABSL_GUARDED_BY(mutex_);  // Of the block.
  enum class Writing { kMessage, kBlock, kLastBlock };
  Writing what_ ABSL_GUARDED_BY(mutex_) = Writing::kMessage;  // Is written now.
  // For the log: what the join said, which is checked once the welcome is sent.
  struct Who {
    std::string worker;
    std::string run;
  };
  Who who_ ABSL_GUARDED_BY(mutex_);
  bool welcome_ ABSL_GUARDED_BY(mutex_) = false;
  bool join_is_logged_ ABSL_GUARDED_BY(mutex_) = false;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;       // It said so.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;  // Its connection is gone, or it cancelled.
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_SERVER_TRAIN_REACTOR_H_
