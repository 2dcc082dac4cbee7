#include "core/sync/staging_budget.h"

#include <algorithm>
#include <utility>

namespace gradd {

StagingBudget::Claim::Claim(std::shared_ptr<StagingBudget> budget, int64_t bytes,
                            std::function<void()> on_granted)
    : budget_(std::move(budget)), bytes_(bytes), on_granted_(std::move(on_granted)) {}

StagingBudget::Claim::~Claim() { budget_->Withdraw(this); }

std::shared_ptr<StagingBudget::Claim> StagingBudget::MakeClaim(int64_t bytes, bool extends,
                                                               std::function<void()> on_granted) {
  std::shared_ptr<Claim> claim(new Claim(shared_from_this(), bytes, std::move(on_granted)));
  MutexLock lock(&mutex_);
  if ((extends || waiting_.empty()) && bytes <= limit_bytes_ - claimed_bytes_) {
    claimed_bytes_ += bytes;
    claim->granted_.store(true, std::memory_order_release);
  } else if (extends) {
    waiting_.push_front(claim.get());
  } else {
    waiting_.push_back(claim.get());
  }
  return claim;
}

int64_t StagingBudget::claimed_bytes() const {
  MutexLock lock(&mutex_);
  return claimed_bytes_;
}

void StagingBudget::Withdraw(Claim* claim) {
  MutexLock lock(&mutex_);
  if (claim->granted()) {
    claimed_bytes_ -= claim->bytes_;
  } else {
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), claim));
  }
  GrantWaiting();
}

void StagingBudget::GrantWaiting() {
  while (!waiting_.empty() && waiting_.front()->bytes_ <= limit_bytes_ - claimed_bytes_) {
    Claim* const claim = waiting_.front();
    waiting_.pop_front();
    claimed_bytes_ += claim->bytes_;
    claim->granted_.store(true, std::memory_order_release);
    // Under the lock, so that the claim cannot go away before the call.
    claim->on_granted_();
  }
}

}  // namespace gradd
