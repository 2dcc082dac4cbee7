#include "server/peer_watch.h"

#include <utility>

namespace gradd {

std::unique_ptr<PeerWatch::Entry> PeerWatch::Add(std::function<void()> cancel) {
  std::unique_ptr<Entry> entry(new Entry(this, std::move(cancel)));
  entry->Renew();
  return entry;
}

void PeerWatch::Entry::Renew() { Expect(watch_->patience_); }

void PeerWatch::Entry::Expect(absl::Duration patience) {
  MutexLock lock(&watch_->mutex_);
  watch_->SetDue(this, watch_->clock_->Elapsed() + patience);
  if (watch_->due_.size() > watch_->most_) watch_->CancelFirst();
}

void PeerWatch::Entry::Stop() {
  MutexLock lock(&watch_->mutex_);
  watch_->SetDue(this, absl::InfiniteDuration());
}

void PeerWatch::SetDue(Entry* entry, absl::Duration due) {
  due_.erase({entry->due_, entry});
  entry->due_ = due;
  if (due < absl::InfiniteDuration()) due_.emplace(due, entry);
}

void PeerWatch::CancelFirst() {
  Entry* const first = due_.begin()->second;
  SetDue(first, absl::InfiniteDuration());
  first->cancel_();
}

void PeerWatch::Tick() {
  MutexLock lock(&mutex_);
  const absl::Duration now = clock_->Elapsed();
  while (!due_.empty() && due_.begin()->first <= now) CancelFirst();
}

}  // namespace gradd
