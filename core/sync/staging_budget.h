#ifndef GRADD_CORE_SYNC_STAGING_BUDGET_H_
#define GRADD_CORE_SYNC_STAGING_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "core/base/mutex.h"

namespace gradd {

// The bytes that staged pushes of all runs may take together. Room is claimed for whole
// pushes, and for all pushes of a synchronous step at once, before their first chunk is
// staged: whoever has a claim can finish without another one, so that waiting cannot become
// a deadlock. Claims are granted in the order they were made, so that small ones do not
// starve a large one.
//
// Thread safe.
class StagingBudget : public std::enable_shared_from_this<StagingBudget> {
 public:
  // Room in the budget, or a place in the queue for it; given back when the last holder
  // lets go. Keeps the budget alive.
  class Claim {
   public:
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    int64_t bytes() const { return bytes_; }
    bool granted() const { return granted_.load(std::memory_order_acquire); }

   private:
    friend class StagingBudget;
    Claim(std::shared_ptr<StagingBudget> budget, int64_t bytes, std::function<void()> on_granted);

    const std::shared_ptr<StagingBudget> budget_;
    const int64_t bytes_;
    const std::function<void()> on_granted_;
    std::atomic<bool> granted_{false};
  };

  static std::shared_ptr<StagingBudget> Create(int64_t limit_bytes) {
    return std::shared_ptr<StagingBudget>(new StagingBudget(limit_bytes));
  }

  // Claims `bytes`, 0 to the limit. One that `extends` what the caller holds already does
  // not queue behind the others, who may be waiting for what it holds. Where granted() is false at
  // first, `on_granted` is called once it is true. It may be called in any thread and with any lock
  // held, so it should do no more than schedule something.
  std::shared_ptr<Claim> MakeClaim(int64_t bytes, bool extends, std::function<void()> on_granted);

  int64_t claimed_bytes() const;

 private:
  explicit StagingBudget(int64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  void Withdraw(Claim* claim);
  // Grants what fits, oldest first.
  void GrantWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t limit_bytes_;
  mutable Mutex mutex_;
  int64_t claimed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Claim*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_STAGING_BUDGET_H_
