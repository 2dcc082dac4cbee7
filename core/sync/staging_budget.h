#ifndef GRADD_CORE_SYNC_STAGING_BUDGET_H_
#define GRADD_CORE_SYNC_STAGING_BUDGET_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "core/base/mutex.h"

namespace gradd {

// The bytes that staged pushes of all runs may take together. Room is claimed for whole
// pushes, and for all pushes of a synchronous step at once, before their first chunk is
// staged: whoever has a claim can finish without another one, so waiting cannot become a
// deadlock. Claims are granted in the order they were made, so that small ones do not
// starve a large one.
//
// Thread safe. The budget must outlive its claims' holders only in so far as claims keep
// it alive themselves.
class StagingBudget : public std::enable_shared_from_this<StagingBudget> {
 public:
  // Room in the budget; given back when the last holder lets go.
  class Claim {
   public:
    Claim(std::shared_ptr<StagingBudget> budget, int64_t bytes)
        : budget_(std::move(budget)), bytes_(bytes) {}
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    int64_t bytes() const { return bytes_; }

   private:
    friend class StagingBudget;
    const std::shared_ptr<StagingBudget> budget_;
    const int64_t bytes_;
    bool granted_ = false;  // Guarded by the budget's mutex.
    std::function<void()> on_granted_;
  };

  static std::shared_ptr<StagingBudget> Create(int64_t limit_bytes) {
    return std::shared_ptr<StagingBudget>(new StagingBudget(limit_bytes));
  }

  // Claims `bytes` <= limit_bytes(). `*granted` says whether there was room at once;
  // otherwise `on_granted` is called once there is, from the thread that gave room back
  // and without locks of the budget held. Dropping an ungranted claim withdraws it.
  std::shared_ptr<Claim> MakeClaim(int64_t bytes, std::function<void()> on_granted, bool* granted);

  int64_t limit_bytes() const { return limit_bytes_; }
  int64_t claimed_bytes() const;

 private:
  explicit StagingBudget(int64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  // Grants what fits, oldest first; returns what to call.
  std::vector<std::function<void()>> GrantWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t limit_bytes_;
  mutable Mutex mutex_;
  int64_t claimed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Claim*> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_STAGING_BUDGET_H_
