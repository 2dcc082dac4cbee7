#include "core/store/version_readers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

VersionReaders::Hold::Hold(std::shared_ptr<VersionReaders> readers, Place place,
                           std::shared_ptr<const Snapshot> snapshot)
    : readers_(std::move(readers)),
      place_(place),
      step_(snapshot->step),
      snapshot_(std::move(snapshot)) {}

VersionReaders::Hold::~Hold() { readers_->Remove(this); }

std::shared_ptr<const Snapshot> VersionReaders::Hold::snapshot() const {
  MutexLock lock(&mutex_);
  return snapshot_;
}

std::shared_ptr<VersionReaders::Hold> VersionReaders::Add(
    Kind kind, std::shared_ptr<const Snapshot> snapshot) {
  MutexLock lock(&mutex_);
  std::shared_ptr<Hold> hold(new Hold(shared_from_this(), {kind, begun_++}, std::move(snapshot)));
  holds_.emplace(hold->place_, hold);
  return hold;
}

void VersionReaders::AddStore(std::weak_ptr<StoreMemory> store) {
  MutexLock lock(&mutex_);
  stores_.erase(std::remove_if(stores_.begin(), stores_.end(),
                               [](const auto& known) { return known.expired(); }),
                stores_.end());
  stores_.push_back(std::move(store));
}

bool VersionReaders::GiveBack(const StoreMemory* stepping) {
  if (FreeUnused() > 0) return true;
  if (!TakeFromSlowest(stepping)) return false;
  FreeUnused();
  return true;
}

absl::Status VersionReaders::LostError(int64_t step) {
  return Error(absl::StatusCode::kAborted, "VERSION_LOST",
               absl::StrCat("the server needed the memory of the parameters of step ", step,
                            ", which were read too slowly; begin again at the newest step"));
}

int64_t VersionReaders::lost_holds() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(lost_.size());
}

int64_t VersionReaders::FreeUnused() {
  std::vector<std::shared_ptr<StoreMemory>> stores;
  {
    MutexLock lock(&mutex_);
    for (const auto& store : stores_) {
      if (auto alive = store.lock()) stores.push_back(std::move(alive));
    }
  }
  int64_t bytes = 0;
  for (const auto& store : stores) bytes += store->FreeUnused();
  return bytes;
}

bool VersionReaders::TakeFromSlowest(const StoreMemory* stepping) {
  std::vector<std::shared_ptr<Hold>> alive;  // Destroyed without the lock, which Remove() takes.
  std::shared_ptr<const Snapshot> taken;     // As are its blocks.
  MutexLock lock(&mutex_);
  for (const bool newest : {false, true}) {
    for (const auto& [place, weak] : holds_) {
      alive.push_back(weak.lock());
      Hold* const hold = alive.back().get();
      if (hold == nullptr || lost_.count(hold) > 0) continue;
      MutexLock hold_lock(&hold->mutex_);
      const StoreMemory* const memory = hold->snapshot_->memory.get();
      if (memory == nullptr) continue;
      const bool old = hold->snapshot_->step < memory->step();
      if (newest ? memory != stepping : !old) continue;
      lost_.insert(hold);
      taken = std::move(hold->snapshot_);
      return true;
    }
  }
  return false;
}

void VersionReaders::Remove(const Hold* hold) {
  MutexLock lock(&mutex_);
  holds_.erase(hold->place_);
  lost_.erase(hold);
}

}  // namespace gradd
