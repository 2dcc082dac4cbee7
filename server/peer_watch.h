#ifndef GRADD_SERVER_PEER_WATCH_H_
#define GRADD_SERVER_PEER_WATCH_H_

#include <cassert>
#include <functional>
#include <memory>
#include <unordered_set>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"

namespace gradd {

// RPCs whose peers must do something now and then: those of a peer that does nothing would
// otherwise keep what they hold for as long as its connection lives. Thread safe.
class PeerWatch {
 public:
  // A peer has `patience` for each thing that it must do.
  PeerWatch(const Clock* clock, absl::Duration patience) : clock_(clock), patience_(patience) {}
  // All entries are gone: of RPCs that have ended, in whatever thread.
  ~PeerWatch() {
    MutexLock lock(&mutex_);
    assert(entries_.empty());
  }

  // One RPC that is watched, until this is destroyed.
  class Entry {
   public:
    ~Entry() { watch_->Remove(this); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    // The peer has done something.
    void Renew();
    // The peer must do something within `patience`, as the last thing.
    void Expect(absl::Duration patience);
    // The peer need not do anything any more.
    void Stop();

   private:
    friend class PeerWatch;
    Entry(PeerWatch* watch, std::function<void()> cancel)
        : watch_(watch), cancel_(std::move(cancel)) {}

    PeerWatch* const watch_;
    const std::function<void()> cancel_;
    absl::Duration due_;  // Guarded by the watch's mutex.
  };

  // Calls `cancel`, once, when neither Renew() nor Stop() is called in time. That is done with a
  // lock held: `cancel` must not wait for anybody who uses the entry.
  std::unique_ptr<Entry> Add(std::function<void()> cancel);

  // Cancels what is due. To be called about ten times a second.
  void Tick();

 private:
  void Remove(Entry* entry);

  const Clock* const clock_;
  const absl::Duration patience_;
  Mutex mutex_;
  std::unordered_set<Entry*> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_SERVER_PEER_WATCH_H_
