#include "core/base/memory_budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"

namespace gradd {
namespace {

// The heap is looked at once for so many bytes that are claimed: that takes some microseconds.
constexpr int64_t kMeasureBytes = int64_t{8} << 20;

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
  std::shared_ptr<Claim> claim = TakeNow(use, 0);
  const auto attempt = [&] {
    return claim->Resize(bytes) || (TrimIfWanted() && claim->Resize(bytes));
  };
  return WithReclaim(use, bytes, attempt) ? claim : nullptr;
}

std::shared_ptr<MemoryBudget::Claim> MemoryBudget::TakeNow(MemoryUse use, int64_t bytes) {
  std::shared_ptr<Claim> claim(new Claim(shared_from_this(), use, 0, nullptr));
  claim->granted_.store(true, std::memory_order_release);
  return claim->Resize(bytes) ? claim : nullptr;
}

bool MemoryBudget::MakeRoom(MemoryUse use, int64_t bytes) {
  const auto fits = [&] {
    MutexLock lock(&mutex_);
    return FitsOrWantsTrim(use, bytes);
  };
  return WithReclaim(use, bytes, [&] { return fits() || (TrimIfWanted() && fits()); });
}

std::shared_ptr<MemoryBudget::Claim> MemoryBudget::TakeOrWait(int64_t bytes, bool extends,
                                                              std::function<void()> on_granted) {
  std::shared_ptr<Claim> claim(
      new Claim(shared_from_this(), MemoryUse::kStaging, bytes, std::move(on_granted)));
  {
    MutexLock lock(&mutex_);
    const bool is_first = extends || waiting_.empty();
    // Where there are no versions, nothing is to be had by waiting for it.
    const bool overdraws = taken(MemoryUse::kVersions) == 0 && IsAssured(bytes);
    if (is_first && (Fits(MemoryUse::kStaging, bytes) || overdraws)) {
      Grant(claim.get());
      return claim;
    }
    if (extends) {
      waiting_.push_front(claim.get());
    } else {
      waiting_.push_back(claim.get());
    }
    // Not a matter of room: nothing is reclaimed for who has to queue anyway.
    if (!is_first) return claim;
  }
  TickLater();
  return claim;
}

std::shared_ptr<MemoryBudget::Assurance> MemoryBudget::Assure() {
  return std::shared_ptr<Assurance>(new Assurance(shared_from_this()));
}

bool MemoryBudget::WithReclaim(MemoryUse use, int64_t more, const std::function<bool()>& attempt) {
  while (!attempt()) {
    {
      MutexLock lock(&mutex_);
      if (taken(MemoryUse::kVersions) == 0 || !FitsWithoutVersions(use, more)) return false;
    }
    if (!reclaim_ || !reclaim_()) return false;
  }
  return true;
}

void MemoryBudget::TickLater() {
  if (!later_) return Tick();
  if (ticks_later_.exchange(true)) return;
  later_([self = shared_from_this()] {
    self->ticks_later_ = false;
    self->Tick();
  });
}

void MemoryBudget::Tick() {
  TrimIfWanted();
  while (true) {
    const Claim* first = nullptr;
    int64_t bytes = 0;
    {
      MutexLock lock(&mutex_);
      if (waiting_.empty()) return;
      first = waiting_.front();
      bytes = first->bytes();
    }
    const bool fits = WithReclaim(MemoryUse::kStaging, bytes, [&] {
      MutexLock lock(&mutex_);
      // It is granted as soon as it fits.
      return waiting_.empty() || waiting_.front() != first || Fits(MemoryUse::kStaging, bytes);
    });
    MutexLock lock(&mutex_);
    GrantWaiting();
    if (fits) continue;
    if (waiting_.empty() || !IsAssured(waiting_.front()->bytes())) return;
    GrantFirst();
  }
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
  return more <= Left(use) && more <= limits_.of(use) - taken(use);
}

bool MemoryBudget::FitsWithoutVersions(MemoryUse use, int64_t more) const {
  return more <= Left(use) + taken(MemoryUse::kVersions) && more <= limits_.of(use) - taken(use);
}

int64_t MemoryBudget::Left(MemoryUse use) const {
  const int64_t kept = use == MemoryUse::kStaging ? 0 : HeapKeeps();
  return std::min(LeftIfTrimmed(use), limits_.total - all_taken_ - kept);
}

int64_t MemoryBudget::LeftIfTrimmed(MemoryUse use) const {
  const int64_t step = std::max<int64_t>(Assured() - taken(MemoryUse::kStaging), 0);
  return limits_.total - all_taken_ - (use == MemoryUse::kStaging ? 0 : step);
}

void MemoryBudget::Add(MemoryUse use, int64_t bytes) {
  taken_[static_cast<size_t>(use)] += bytes;
  all_taken_ += bytes;
  GRADD_DCHECK(taken(use) >= 0 && all_taken_ >= 0,
               absl::StrCat(taken(use), " bytes of ", NameOf(use), ", ", all_taken_, " in all"));
}

bool MemoryBudget::TrimIfWanted() {
  {
    MutexLock lock(&mutex_);
    if (!std::exchange(wants_trim_, false)) return false;
  }
  heap_->Trim();
  return true;
}

void MemoryBudget::MeasureHeap(int64_t more) {
  if (heap_ == nullptr) return;
  {
    MutexLock lock(&mutex_);
    grown_ += more;
    if (grown_ < std::min(kMeasureBytes, limits_.total / 16)) return;
    grown_ = 0;
  }
  heap_->Measure();
}

bool MemoryBudget::FitsOrWantsTrim(MemoryUse use, int64_t more) {
  if (more <= 0 || Fits(use, more)) return true;
  const bool trim_helps = use != MemoryUse::kStaging && HeapKeeps() > 0 &&
                          more <= LeftIfTrimmed(use) && more <= limits_.of(use) - taken(use);
  wants_trim_ = wants_trim_ || trim_helps;
  return false;
}

void MemoryBudget::GrantWaiting() {
  while (!waiting_.empty() && Fits(MemoryUse::kStaging, waiting_.front()->bytes())) {
    GrantFirst();
  }
}

void MemoryBudget::GrantFirst() {
  Claim* const claim = waiting_.front();
  waiting_.pop_front();
  Grant(claim);
  // Under the lock, so that the claim cannot go away before the call.
  claim->on_granted_();
}

void MemoryBudget::Grant(Claim* claim) {
  Add(MemoryUse::kStaging, claim->bytes());
  claim->granted_.store(true, std::memory_order_release);
}

bool MemoryBudget::ResizeClaim(Claim* claim, int64_t bytes, bool force) {
  if (claim->use_ != MemoryUse::kStaging && bytes > claim->bytes()) {
    MeasureHeap(bytes - claim->bytes());
  }
  MutexLock lock(&mutex_);
  const int64_t more = bytes - claim->bytes();
  if (!FitsOrWantsTrim(claim->use_, more)) {
    if (!force) return false;
    wants_trim_ = wants_trim_ || HeapKeeps() > 0;
  }
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

}  // namespace gradd
