#include "core/base/memory_budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace gradd {
namespace {

bool StaysForLong(MemoryUse use) {
  return use != MemoryUse::kStaging && use != MemoryUse::kVersions;
}

}  // namespace

const char* NameOf(MemoryUse use) {
  switch (use) {
    case MemoryUse::kState:
      return "state";
    case MemoryUse::kScratch:
      return "scratch";
    case MemoryUse::kShared:
      return "shared";
    case MemoryUse::kVersions:
      return "versions";
    case MemoryUse::kStaging:
      return "staging";
  }
  return "";
}

MemoryBudget::Claim::Claim(std::shared_ptr<MemoryBudget> budget, MemoryUse use, int64_t bytes,
                           std::function<void()> on_granted)
    : budget_(std::move(budget)), use_(use), on_granted_(std::move(on_granted)), bytes_(bytes) {}

MemoryBudget::Claim::~Claim() { budget_->Withdraw(this); }

bool MemoryBudget::Claim::Resize(int64_t bytes) {
  return budget_->ResizeClaim(this, bytes, /*force=*/false);
}

void MemoryBudget::Claim::ForceSize(int64_t bytes) {
  budget_->ResizeClaim(this, bytes, /*force=*/true);
}

MemoryBudget::Assurance::~Assurance() { Resize(0); }

bool MemoryBudget::Assurance::Resize(int64_t bytes) {
  return budget_->ResizeAssurance(this, bytes);
}

std::shared_ptr<MemoryBudget::Claim> MemoryBudget::Take(MemoryUse use, int64_t bytes) {
  std::shared_ptr<Claim> claim(new Claim(shared_from_this(), use, 0, nullptr));
  claim->granted_.store(true, std::memory_order_release);
  return WithReclaim([&] { return claim->Resize(bytes); }) ? claim : nullptr;
}

std::shared_ptr<MemoryBudget::Claim> MemoryBudget::TakeOrWait(int64_t bytes, bool extends,
                                                              std::function<void()> on_granted) {
  std::shared_ptr<Claim> claim(
      new Claim(shared_from_this(), MemoryUse::kStaging, bytes, std::move(on_granted)));
  const auto grant = [&] {
    MutexLock lock(&mutex_);
    // Not a matter of room: nothing is reclaimed for who has to queue anyway.
    if (!extends && !waiting_.empty()) return true;
    if (!Fits(MemoryUse::kStaging, bytes)) return false;
    Add(MemoryUse::kStaging, bytes);
    claim->granted_.store(true, std::memory_order_release);
    return true;
  };
  WithReclaim(grant);
  if (claim->granted()) return claim;
  MutexLock lock(&mutex_);
  if (extends) {
    waiting_.push_front(claim.get());
  } else {
    waiting_.push_back(claim.get());
  }
  GrantWaiting();  // Room may have come back since.
  return claim;
}

std::shared_ptr<MemoryBudget::Assurance> MemoryBudget::Assure() {
  return std::shared_ptr<Assurance>(new Assurance(shared_from_this()));
}

bool MemoryBudget::WithReclaim(const std::function<bool()>& attempt) {
  while (!attempt()) {
    if (!reclaim_ || !reclaim_()) return false;
  }
  return true;
}

void MemoryBudget::Tick() {
  WithReclaim([this] { return FirstFits(); });
}

int64_t MemoryBudget::taken_bytes(MemoryUse use) const {
  MutexLock lock(&mutex_);
  return taken(use);
}

int64_t MemoryBudget::taken_bytes() const {
  MutexLock lock(&mutex_);
  return all_taken_;
}

bool MemoryBudget::Fits(MemoryUse use, int64_t more) const {
  return more <= limits_.of(use) - taken(use) && more <= limits_.total - all_taken_ &&
         (!StaysForLong(use) || more <= limits_.total - Assured() - LongTaken());
}

void MemoryBudget::Add(MemoryUse use, int64_t bytes) {
  taken_[static_cast<size_t>(use)] += bytes;
  all_taken_ += bytes;
  GRADD_DCHECK(taken(use) >= 0 && all_taken_ >= 0,
               absl::StrCat(taken(use), " bytes of ", NameOf(use), ", ", all_taken_, " in all"));
}

void MemoryBudget::GrantWaiting() {
  while (!waiting_.empty() && Fits(MemoryUse::kStaging, waiting_.front()->bytes())) {
    Claim* const claim = waiting_.front();
    waiting_.pop_front();
    Add(MemoryUse::kStaging, claim->bytes());
    claim->granted_.store(true, std::memory_order_release);
    // Under the lock, so that the claim cannot go away before the call.
    claim->on_granted_();
  }
}

bool MemoryBudget::ResizeClaim(Claim* claim, int64_t bytes, bool force) {
  MutexLock lock(&mutex_);
  const int64_t more = bytes - claim->bytes();
  if (more > 0 && !force && !Fits(claim->use_, more)) return false;
  Add(claim->use_, more);
  claim->bytes_.store(bytes, std::memory_order_relaxed);
  if (more < 0) GrantWaiting();
  return true;
}

void MemoryBudget::Withdraw(Claim* claim) {
  MutexLock lock(&mutex_);
  if (claim->granted()) {
    Add(claim->use_, -claim->bytes());
  } else if (const auto place = std::find(waiting_.begin(), waiting_.end(), claim);
             place != waiting_.end()) {
    waiting_.erase(place);
  }
  GrantWaiting();
}

bool MemoryBudget::ResizeAssurance(Assurance* assurance, int64_t bytes) {
  MutexLock lock(&mutex_);
  if (bytes > assurance->bytes_ && bytes > limits_.total - LongTaken()) return false;
  if (assurance->bytes_ > 0) {
    const auto before = assured_.find(assurance->bytes_);
    GRADD_DCHECK(before != assured_.end(), absl::StrCat(assurance->bytes_, " bytes assured"));
    assured_.erase(before);
  }
  if (bytes > 0) assured_.insert(bytes);
  assurance->bytes_ = bytes;
  return true;
}

bool MemoryBudget::FirstFits() const {
  MutexLock lock(&mutex_);
  return waiting_.empty() || Fits(MemoryUse::kStaging, waiting_.front()->bytes());
}

}  // namespace gradd
