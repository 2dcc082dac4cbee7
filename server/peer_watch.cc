#include "server/peer_watch.h"

#include <utility>

namespace gradd {

std::unique_ptr<PeerWatch::Entry> PeerWatch::Add(std::function<void()> cancel) {
  std::unique_ptr<Entry> entry(new Entry(this, std::move(cancel)));
  MutexLock lock(&mutex_);
  entry->due_ = clock_->Elapsed() + patience_;
  entries_.insert(entry.get());
  return entry;
}

void PeerWatch::Entry::Renew() { Expect(watch_->patience_); }

void PeerWatch::Entry::Expect(absl::Duration patience) {
  MutexLock lock(&watch_->mutex_);
  due_ = watch_->clock_->Elapsed() + patience;
}

void PeerWatch::Entry::Stop() {
  MutexLock lock(&watch_->mutex_);
  due_ = absl::InfiniteDuration();
}

void PeerWatch::Remove(Entry* entry) {
  MutexLock lock(&mutex_);
  entries_.erase(entry);
}

void PeerWatch::Tick() {
  MutexLock lock(&mutex_);
  const absl::Duration now = clock_->Elapsed();
  for (Entry* const entry : entries_) {
    if (entry->due_ > now) continue;
    entry->due_ = absl::InfiniteDuration();
    entry->cancel_();
  }
}

}  // namespace gradd
