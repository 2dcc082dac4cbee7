#ifndef GRADD_CORE_BASE_MEMORY_BUDGET_H_
#define GRADD_CORE_BASE_MEMORY_BUDGET_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "core/base/heap.h"
#include "core/base/mutex.h"

namespace gradd {

// What a server takes memory for.
enum class MemoryUse {
  kState,     // Parameters and slots of runs.
  kScratch,   // What optimizers need besides while a step is applied; files on their way.
  kShared,    // Gradient regions of workers on this host.
  kVersions,  // Older parameters that readers still hold, and buffers kept for the next ones.
  kStaging,   // Pushes that are coming in or wait for their step.
};
inline constexpr std::array kAllMemoryUses = {MemoryUse::kState, MemoryUse::kScratch,
                                              MemoryUse::kShared, MemoryUse::kVersions,
                                              MemoryUse::kStaging};
inline constexpr size_t kMemoryUses = kAllMemoryUses.size();

// "state", "scratch", ...
const char* NameOf(MemoryUse use);

// The memory of a server, of which everything large is claimed before it is taken.
//
// State, scratch and shared regions stay for long, pushes come and go; a claim of any is granted at
// once or not at all. Who waits for room for a push does so at PushRoom, which sees to it that no
// two steps wait for each other; and everything else leaves free what one step of any run takes, as
// assured by Assure(). Versions are what the budget gets back when something else needs the room,
// by the function of SetReclaim().
//
// Pushes lie in the heap, which keeps what they took for the next ones, so that their pages need
// not be touched anew. It is made to give that back when something else needs the room, but not by
// who needs it, who may hold locks: by Take(), Tick() and whoever calls TrimIfWanted().
//
// Example:
//   std::shared_ptr<MemoryBudget::Claim> claim = budget->Take(MemoryUse::kScratch, bytes);
//   if (claim == nullptr) return ...;  // RESOURCE_EXHAUSTED; or something smaller.
//   ...                                // The bytes are given back with the last reference.
//
// Thread safe.
class MemoryBudget : public std::enable_shared_from_this<MemoryBudget> {
 public:
  static constexpr int64_t kUnlimited = int64_t{1} << 60;

  // Most bytes in all, and for each use.
  struct Limits {
    Limits() { by_use.fill(kUnlimited); }
    int64_t& of(MemoryUse use) { return by_use[static_cast<size_t>(use)]; }
    int64_t of(MemoryUse use) const { return by_use[static_cast<size_t>(use)]; }

    int64_t total = kUnlimited;
    std::array<int64_t, kMemoryUses> by_use;
  };

  // A part of the budget; given back with the last reference. Keeps the budget alive.
  class Claim {
   public:
    ~Claim();
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    MemoryUse use() const { return use_; }
    int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

    // Changes a claim, without giving any of it back in between. False, with nothing
    // changed, if there is no room for more. Neither reclaims nor trims, so it may be called with
    // any lock held; where a trim of the heap would make the room, the budget wants one from now
    // on.
    bool Resize(int64_t bytes);
    // The same where the memory is taken already and cannot be refused: the budget may be overdrawn
    // by it, and grants nothing else until that is over.
    void ForceSize(int64_t bytes);

   private:
    friend class MemoryBudget;
    Claim(std::shared_ptr<MemoryBudget> budget, MemoryUse use)
        : budget_(std::move(budget)), use_(use) {}

    const std::shared_ptr<MemoryBudget> budget_;
    const MemoryUse use_;
    std::atomic<int64_t> bytes_{0};
  };

  // Room that what stays for long leaves for one step of a run, its claims included.
  class Assurance {
   public:
    ~Assurance();
    Assurance(const Assurance&) = delete;
    Assurance& operator=(const Assurance&) = delete;

    // False, with nothing changed, if so much is not left.
    bool Resize(int64_t bytes);

   private:
    friend class MemoryBudget;
    explicit Assurance(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {}

    const std::shared_ptr<MemoryBudget> budget_;
    int64_t bytes_ = 0;  // Guarded by the budget's mutex.
  };

  static std::shared_ptr<MemoryBudget> Create(const Limits& limits) {
    return std::shared_ptr<MemoryBudget>(new MemoryBudget(limits));
  }

  // Claims `bytes` >= 0, with reclaiming and trimming where necessary, so that it may take long;
  // null if so many are not left.
  std::shared_ptr<Claim> Take(MemoryUse use, int64_t bytes);
  // The same without: null if so many are not left at once.
  std::shared_ptr<Claim> TakeNow(MemoryUse use, int64_t bytes);
  // Reclaims and trims so that a claim of `bytes` more would find room, for who will make it with
  // locks held. False if that is not to be had.
  bool MakeRoom(MemoryUse use, int64_t bytes);

  // ---- For PushRoom. ----

  // What pushes may take in all at present, with what they have already. Versions count for
  // nothing, since they come back.
  struct PushLimits {
    int64_t room = 0;
    // Small pushes may have so much more, a part of what their own limit leaves of the total: a
    // step that needs all the room does not keep them waiting.
    int64_t beside = 0;
  };
  PushLimits RoomForPushes() const;
  // Claims `bytes` for a push, a small one if `beside`; null if so many are not left at once.
  std::shared_ptr<Claim> TakeForPush(int64_t bytes, bool beside = false);
  // Whether pushes wait, and for how many bytes that others would have to give back; 0: for none.
  // That is reclaimed later, so that this returns at once.
  void WantRoom(bool waits, int64_t bytes);
  // Calls this, without a lock of the budget held, when there may be room for those who wait.
  // To be set before the budget is used.
  void SetOnRoom(std::function<void()> on_room) { on_room_ = std::move(on_room); }

  // An assurance of nothing yet.
  std::shared_ptr<Assurance> Assure();

  // How to get versions back: `reclaim` gives some back and returns true, or false if there is
  // nothing left to give. It may take long, and is called without a lock of the budget held, but
  // with those of who calls WithReclaim(). `later` runs a task without any lock, as soon as it can,
  // and keeps no caller waiting; null: in the caller. To be set before the budget is used.
  using Scheduler = std::function<void(std::function<void()>)>;
  void SetReclaim(std::function<bool()> reclaim, Scheduler later = nullptr) {
    reclaim_ = std::move(reclaim);
    later_ = std::move(later);
  }
  // What the heap keeps leaves less room. To be called before the budget is used; without it, the
  // heap is taken to keep nothing.
  void SetHeap(std::shared_ptr<Heap> heap) { heap_ = std::move(heap); }
  // Trims the heap if somebody wants it, since a claim did not fit otherwise or has overdrawn the
  // budget; whether it did. Takes long, and no lock should be held.
  bool TrimIfWanted();
  // Does `attempt`, for which `more` bytes for `use` are missing, again and again until it returns
  // true, or nothing can be given back any more that would help.
  bool WithReclaim(MemoryUse use, int64_t more, const std::function<bool()>& attempt);
  // Trims if that is wanted, and reclaims for the push that waits, as far as that goes. To be
  // called now and then, without a lock held.
  void Tick();

  const Limits& limits() const { return limits_; }
  int64_t taken_bytes(MemoryUse use) const;
  int64_t taken_bytes() const;  // For all uses.
  // What Take() would still find, at most.
  int64_t left_bytes(MemoryUse use) const;

 private:
  explicit MemoryBudget(const Limits& limits) : limits_(limits) {}

  bool Fits(MemoryUse use, int64_t more) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PushLimits PushLimitsNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What is left for `use`: what does not belong to pushes leaves them what a step is assured of,
  // and has no room where the heap keeps what is free.
  int64_t Left(MemoryUse use) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t LeftIfTrimmed(MemoryUse use) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether that much for pushes is what a step is assured of. Then only versions that do not come
  // back at once stand in its way, which are few: it overdraws the budget by them and does not
  // wait.
  bool IsAssured(int64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return bytes <= Assured() - taken(MemoryUse::kStaging) &&
           bytes <= limits_.of(MemoryUse::kStaging) - taken(MemoryUse::kStaging);
  }
  // Whether so much would fit if there were no versions.
  bool FitsWithoutVersions(MemoryUse use, int64_t more) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Add(MemoryUse use, int64_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ResizeClaim(Claim* claim, int64_t bytes, bool force);
  // Looks at the heap, now and then, for a claim that grows by `more`.
  void MeasureHeap(int64_t more);
  // As Fits(); if it does not only because of what the heap keeps, that is to be trimmed.
  bool FitsOrWantsTrim(MemoryUse use, int64_t more) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t HeapKeeps() const { return heap_ == nullptr ? 0 : heap_->kept_bytes(); }
  void Withdraw(Claim* claim);
  void TickLater();
  bool ResizeAssurance(Assurance* assurance, int64_t bytes);

  int64_t taken(MemoryUse use) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return taken_[static_cast<size_t>(use)];
  }
  // By what stays for long.
  int64_t LongTaken() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return taken(MemoryUse::kState) + taken(MemoryUse::kScratch) + taken(MemoryUse::kShared);
  }
  int64_t Assured() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return assured_.empty() ? 0 : *assured_.rbegin();
  }

  const Limits limits_;
  std::function<bool()> reclaim_;
  std::function<void()> on_room_;
  Scheduler later_;
  std::atomic<bool> ticks_later_{false};
  std::shared_ptr<Heap> heap_;
  mutable Mutex mutex_;
  std::array<int64_t, kMemoryUses> taken_ ABSL_GUARDED_BY(mutex_) = {};
  int64_t all_taken_ ABSL_GUARDED_BY(mutex_) = 0;
  bool wants_trim_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t grown_ ABSL_GUARDED_BY(mutex_) = 0;  // What claims but those for pushes grew since.
  bool pushes_wait_ ABSL_GUARDED_BY(mutex_) = false;    // See WantRoom().
  int64_t wanted_ ABSL_GUARDED_BY(mutex_) = 0;          // Likewise.
  bool reclaimed_all_ ABSL_GUARDED_BY(mutex_) = false;  // And it did not fit.
  std::multiset<int64_t> assured_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_MEMORY_BUDGET_H_
