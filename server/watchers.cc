#include "server/watchers.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/status.h"

namespace gradd {
namespace {

constexpr size_t kMaxWatchers = 1000;
constexpr absl::Duration kDefaultInterval = absl::Seconds(1);

// Whether something happened: what only passes with time, such as rates that fade away, is
// nothing.
bool Changed(v1::RunProgress before, v1::RunProgress after) {
  for (v1::RunProgress* progress : {&before, &after}) {
    progress->clear_elapsed();
    progress->clear_steps_per_second();
    progress->clear_examples_per_second();
    progress->clear_time_left();
  }
  return !google::protobuf::util::MessageDifferencer::Equals(before, after);
}

}  // namespace

// One WatchRun stream. Deletes itself when the RPC is done.
class WatchReactor : public grpc::ServerWriteReactor<v1::RunProgress> {
 public:
  WatchReactor(Watchers* watchers, grpc::CallbackServerContext* context, std::string run,
               absl::Duration interval, bool keep_watching)
      : watchers_(watchers),
        context_(context),
        run_(std::move(run)),
        interval_(interval),
        keep_watching_(keep_watching) {}

  void Tick(RunRegistry* registry) {
    const absl::Duration now = registry->clock().Elapsed();
    MutexLock lock(&mutex_);
    if (writing_ || finished_) return;
    if (any_sent_ && now - sent_at_ < interval_) return;
    const auto run = registry->Find(run_);
    if (!run.ok()) return EndLocked(run.status());
    v1::RunProgress progress = (*run)->Progress();
    if (any_sent_ && !Changed(sent_, progress)) {
      if (sent_.state() == v1::RUN_STATE_FINISHED && !keep_watching_) {
        EndLocked(absl::OkStatus());
      }
      return;
    }
    sent_ = std::move(progress);
    sent_at_ = now;
    any_sent_ = true;
    writing_ = true;
    StartWrite(&sent_);
  }

  void End(const absl::Status& status) {
    MutexLock lock(&mutex_);
    EndLocked(status);
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok || ending_) EndLocked(end_status_);
  }

  void OnCancel() override { End(absl::CancelledError()); }

  void OnDone() override {
    // gRPC has ordered all that before this call; ThreadSanitizer sees it by the lock.
    mutex_.Lock();
    mutex_.Unlock();
    watchers_->Remove(this);
    delete this;
  }

 private:
  void EndLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (finished_) return;
    ending_ = true;
    end_status_ = status;
    if (writing_) return;
    finished_ = true;
    Finish(ToGrpcStatus(status, context_));
  }

  Watchers* const watchers_;
  grpc::CallbackServerContext* const context_;
  const std::string run_;
  const absl::Duration interval_;
  const bool keep_watching_;

  Mutex mutex_;
  v1::RunProgress sent_ ABSL_GUARDED_BY(mutex_);
  absl::Duration sent_at_ ABSL_GUARDED_BY(mutex_);
  bool any_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_status_ ABSL_GUARDED_BY(mutex_);
};

grpc::ServerWriteReactor<v1::RunProgress>* Watchers::Add(grpc::CallbackServerContext* context,
                                                         const v1::WatchRunRequest& request) {
  absl::StatusOr<absl::Duration> interval = kDefaultInterval;
  if (request.has_interval()) {
    interval =
        ParseDuration("interval", request.interval(), absl::Milliseconds(100), absl::Hours(1));
  }
  auto* const reactor =
      new WatchReactor(this, context, request.name(), interval.ok() ? *interval : kDefaultInterval,
                       request.keep_watching());
  if (!interval.ok()) {
    reactor->End(interval.status());
    return reactor;
  }
  {
    MutexLock lock(&mutex_);
    if (ended_) {
      reactor->End(StoppingError());
      return reactor;
    }
    if (reactors_.size() >= kMaxWatchers) {
      reactor->End(Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WATCHERS",
                         absl::StrCat("the server has its limit of ", kMaxWatchers, " watchers")));
      return reactor;
    }
    reactors_.insert(reactor);
    // Under the lock: the reactor cannot be removed and deleted before it returns.
    reactor->Tick(registry_);
  }
  return reactor;
}

void Watchers::Tick() {
  MutexLock lock(&mutex_);
  for (WatchReactor* reactor : reactors_) reactor->Tick(registry_);
}

void Watchers::EndAll() {
  MutexLock lock(&mutex_);
  ended_ = true;
  for (WatchReactor* reactor : reactors_) {
    reactor->End(StoppingError());
  }
}

void Watchers::Remove(WatchReactor* reactor) {
  MutexLock lock(&mutex_);
  reactors_.erase(reactor);
}

}  // namespace gradd
