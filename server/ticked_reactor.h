#ifndef GRADD_SERVER_TICKED_REACTOR_H_
#define GRADD_SERVER_TICKED_REACTOR_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "server/peer_watch.h"
#include "server/status.h"
#include "server/ticked_streams.h"

namespace gradd {

// The RPC of a TickedStream. Cancelled when its caller takes nothing for the patience of `watch`.
// Deletes itself when it is done.
template <typename Response>
class TickedReactor : public grpc::ServerWriteReactor<Response>, public TickedStream {
 public:
  TickedReactor(TickedStreams* streams, PeerWatch* watch, grpc::CallbackServerContext* context)
      : streams_(streams),
        context_(context),
        watched_(watch->Add([context] { context->TryCancel(); })) {
    watched_->Stop();
  }

  void Tick() final {
    MutexLock lock(&mutex_);
    if (writing_ || finished_) return;
    if (cancelled_.load()) return EndLocked(absl::CancelledError());
    Next next = NextMessage(&message_);
    if (next.end.has_value()) return EndLocked(*next.end);
    if (!next.message) return;
    writing_ = true;
    watched_->Renew();
    this->StartWrite(&message_);
  }

  void End(const absl::Status& status) final {
    MutexLock lock(&mutex_);
    EndLocked(status);
  }

  void OnWriteDone(bool ok) final {
    MutexLock lock(&mutex_);
    watched_->Stop();
    writing_ = false;
    if (!ok || ending_) EndLocked(end_status_);
  }

  // Without the lock, as it may be called from within TryCancel().
  void OnCancel() final { cancelled_.store(true); }

  void OnDone() final {
    // gRPC has ordered all that before this call; ThreadSanitizer sees it by the lock.
    mutex_.Lock();
    mutex_.Unlock();
    streams_->Remove(this);
    delete this;
  }

 protected:
  struct Next {
    bool message = false;             // One is to be sent,
    std::optional<absl::Status> end;  // or this is the end of the stream.
  };
  // Fills in what is to be sent next. One call at a time.
  virtual Next NextMessage(Response* message) = 0;

 private:
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    ending_ = true;
    end_status_ = status;
    if (writing_) return;
    finished_ = true;
    this->Finish(ToGrpcStatus(status, context_));
  }

  TickedStreams* const streams_;
  grpc::CallbackServerContext* const context_;
  const std::unique_ptr<PeerWatch::Entry> watched_;
  std::atomic<bool> cancelled_{false};

  Mutex mutex_;
  Response message_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_SERVER_TICKED_REACTOR_H_
