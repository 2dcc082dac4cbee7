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
  std::shared_ptr<Claim> claim(new Claim(shared_from_this(), use));
  return claim->Resize(bytes) ? claim : nullptr;
}

bool MemoryBudget::MakeRoom(MemoryUse use, int64_t bytes) {
  const auto fits = [&] {
    MutexLock lock(&mutex_);
    return FitsOrWantsTrim(use, bytes);
  };
  return WithReclaim(use, bytes, [&] { return fits() || (TrimIfWanted() && fits()); });
}

MemoryBudget::PushLimits MemoryBudget::RoomForPushes() const {
  MutexLock lock(&mutex_);
  return PushLimitsNow();
}

MemoryBudget::PushLimits MemoryBudget::PushLimitsNow() const {
  constexpr int64_t kPartBeside = 32;
  const int64_t others = all_taken_ - taken(MemoryUse::kStaging) - taken(MemoryUse::kVersions);
  const int64_t limit = limits_.of(MemoryUse::kStaging);
  const int64_t left = std::max<int64_t>(limits_.total - others - limit, 0);
  return {std::min(limit, limits_.total - others), std::min(limit / kPartBeside, left)};
}

std::shared_ptr<MemoryBudget::Claim> MemoryBudget::TakeForPush(int64_t bytes, bool beside) {
  std::shared_ptr<Claim> claim(new Claim(shared_from_this(), MemoryUse::kStaging));
  MutexLock lock(&mutex_);
  // Where there are no versions, or all that come back have come, nothing is to be had by waiting.
  const bool overdraws = (taken(MemoryUse::kVersions) == 0 || reclaimed_all_) && IsAssured(bytes);
  const int64_t limit = limits_.of(MemoryUse::kStaging) + (beside ? PushLimitsNow().beside : 0);
  const bool fits =
      bytes <= Left(MemoryUse::kStaging) && bytes <= limit - taken(MemoryUse::kStaging);
  if (!fits && !overdraws) return nullptr;
  reclaimed_all_ = false;
  wanted_ = 0;  // Whoever wants more says so again.
  Add(MemoryUse::kStaging, bytes);
  claim->bytes_.store(bytes, std::memory_order_relaxed);
  return claim;
}

void MemoryBudget::WantRoom(bool waits, int64_t bytes) {
  {
    MutexLock lock(&mutex_);
    pushes_wait_ = waits;
    if (wanted_ == bytes) return;
    wanted_ = bytes;
    reclaimed_all_ = false;
  }
  if (bytes > 0 && later_) TickLater();
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
  int64_t bytes = 0;
  {
    MutexLock lock(&mutex_);
    bytes = wanted_;
  }
  const bool fits = bytes == 0 || WithReclaim(MemoryUse::kStaging, bytes, [&] {
                      MutexLock lock(&mutex_);
                      return wanted_ != bytes || Fits(MemoryUse::kStaging, bytes);
                    });
  {
    MutexLock lock(&mutex_);
    reclaimed_all_ = !fits;
    if (!pushes_wait_) return;
  }
  if (on_room_) on_room_();
}

int64_t MemoryBudget::taken_bytes(MemoryUse use) const {
  MutexLock lock(&mutex_);
  return taken(use);
}

int64_t MemoryBudget::taken_bytes() const {
  MutexLock lock(&mutex_);
  return all_taken_;
}

int64_t MemoryBudget::left_bytes(MemoryUse use) const {
  MutexLock lock(&mutex_);
  return std::min(LeftIfTrimmed(use) + taken(MemoryUse::kVersions), limits_.of(use) - taken(use));
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

bool MemoryBudget::ResizeClaim(Claim* claim, int64_t bytes, bool force) {
  if (claim->use_ != MemoryUse::kStaging && bytes > claim->bytes()) {
    MeasureHeap(bytes - claim->bytes());
  }
  bool awaited = false;
  {
    MutexLock lock(&mutex_);
    const int64_t more = bytes - claim->bytes();
    if (!FitsOrWantsTrim(claim->use_, more)) {
      if (!force) return false;
      wants_trim_ = wants_trim_ || HeapKeeps() > 0;
    }
    Add(claim->use_, more);
    claim->bytes_.store(bytes, std::memory_order_relaxed);
    awaited = more < 0 && claim->use_ != MemoryUse::kStaging && pushes_wait_;
  }
  if (awaited) TickLater();
  return true;
}

void MemoryBudget::Withdraw(Claim* claim) {
  bool awaited = false;
  {
    MutexLock lock(&mutex_);
    Add(claim->use_, -claim->bytes());
    awaited = claim->use_ != MemoryUse::kStaging && claim->bytes() > 0 && pushes_wait_;
  }
  if (awaited) TickLater();
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
