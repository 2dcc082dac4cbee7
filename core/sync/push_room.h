#ifndef GRADD_CORE_SYNC_PUSH_ROOM_H_
#define GRADD_CORE_SYNC_PUSH_ROOM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/memory_budget.h"
#include "core/base/mutex.h"
#include "core/sync/room_rule.h"

namespace gradd {

// The room in a server's memory for the pushes of all its runs. Each push claims its own before it
// is staged; where it has to wait, RoomRule says whose turn it is. Nobody waits in a call: a claim
// is granted later, and whoever made it is told.
//
// Example:
//   const auto room = PushRoom::Create(budget);
//   const auto account = room->Open("mnist", push_bytes, /*drop=*/...);
//   PushRoom::ClaimPtr claim = account->Take("w1", step, /*on_granted=*/...);
//   if (!claim->granted()) ...;  // Wait for on_granted().
//   ...                          // The room is given back with the claim.
//
// Thread safe.
class PushRoom : public std::enable_shared_from_this<PushRoom> {
 private:
  struct Books;
  struct Ticket;

 public:
  // Room for one push, or a place among those who wait for some.
  class Claim {
   public:
    Claim(std::shared_ptr<PushRoom> room, std::shared_ptr<Ticket> ticket)
        : room_(std::move(room)), ticket_(std::move(ticket)) {}
    ~Claim() { room_->Leave(ticket_.get()); }
    Claim(const Claim&) = delete;
    Claim& operator=(const Claim&) = delete;

    // The push is part of that step, which is later than the one that it was for.
    void MoveTo(int64_t step) { room_->Move(ticket_.get(), step); }

    bool granted() const { return ticket_->granted.load(std::memory_order_acquire); }

   private:
    const std::shared_ptr<PushRoom> room_;
    const std::shared_ptr<Ticket> ticket_;
  };
  using ClaimPtr = std::unique_ptr<Claim>;

  // A run's account. Claims may outlive it.
  class Account {
   public:
    // See Open().
    Account(std::shared_ptr<PushRoom> room, std::shared_ptr<Books> books)
        : room_(std::move(room)), books_(std::move(books)) {}
    ~Account();
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    // Room for a push of `worker` that will be part of `step`, or of a later one. Where granted()
    // is false at first, `on_granted` is called once it is true: in any thread and with any lock
    // held, so it should do no more than schedule something.
    ClaimPtr Take(const std::string& worker, int64_t step, std::function<void()> on_granted);
    // See RoomAccount.
    void SetPushesAStep(int64_t pushes);
    // How the run stands. `why` is for people, if it does not go on: `paused`.
    void SetStanding(bool goes_on, bool rests, int64_t quiet_pushes, const std::string& why);
    // Whoever was asked to drop pushes has done so, as far as it could. `rests`: see RoomAccount.
    void Dropped(bool rests);
    // Whose pushes have the room that this run waits for: `run big, which is paused, has 3.2 GB for
    // w1, w2 and 5 more`. Empty: nobody's.
    std::string Holders() const;

   private:
    const std::shared_ptr<PushRoom> room_;
    const std::shared_ptr<Books> books_;
  };

  // Who waits for longer than that only for those that began after it takes their room.
  static constexpr absl::Duration kPatience = absl::Seconds(5);

  // `clock` lives as long.
  static std::shared_ptr<PushRoom> Create(std::shared_ptr<MemoryBudget> budget, const Clock* clock);

  // An account of a run whose pushes take `push_bytes` at most. `drop` is called when its pushes
  // have to make room for others: all of them if it does not go on, otherwise those that bring
  // nothing. It has to be followed by Account::Dropped(), and is called like `on_granted`, but
  // never once ~Account() has returned.
  std::unique_ptr<Account> Open(std::string run, int64_t push_bytes, std::function<void()> drop);

  // Gives room to those who wait for it, if there is more by now. To be called now and then.
  void Grant();

 private:
  // What is known of a claim.
  struct Ticket {
    std::shared_ptr<Books> books;
    std::string worker;
    int64_t step = 0;
    int64_t age = 0;
    std::function<void()> on_granted;
    std::shared_ptr<MemoryBudget::Claim> bytes;  // Once granted.
    size_t place = 0;                            // In Books::granted.
    // When it was granted, and to how old a step.
    int64_t granted_at = 0;
    int64_t step_age = 0;
    std::atomic<bool> granted{false};
  };
  // What is known of a run. Guarded by the mutex, and so are tickets.
  struct Books {
    std::string run;
    std::function<void()> drop;                 // Null once the account is closed.
    bool asked = false;                         // To drop pushes.
    bool has_dropped = false;                   // It has done so since.
    std::string why;                            // It does not go on.
    int64_t step = -1;                          // The open one.
    int64_t aged_step = -1;                     // It began anew, at its old age.
    std::optional<absl::Duration> waits_since;  // For younger ones only.
    int64_t waits_from = 0;                     // Of all grants, those after it overtake it.
    RoomAccount account;
    std::vector<Ticket*> granted;
    std::deque<Ticket*> waiting;  // In the order they came.
  };

  PushRoom(std::shared_ptr<MemoryBudget> budget, const Clock* clock)
      : budget_(std::move(budget)), clock_(clock) {}

  void Enter(Ticket* ticket, std::function<void()> on_granted);
  void Leave(Ticket* ticket);
  void Move(Ticket* ticket, int64_t step);
  // The open step of the run is another one.
  void BeginStep(Books* books, int64_t step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // After something has changed for a run: enters it among those that have or want something, or
  // takes it out, and gives room to whoever may have it now.
  void Update(Books* books) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GrantLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // It waits for its next push from now on.
  void BeginToWait(Books* books) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives room to the first that waits; false if the budget has none after all.
  bool GrantFirst(Books* books, bool small) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Holders(const Books& books) const;

  const std::shared_ptr<MemoryBudget> budget_;
  const Clock* const clock_;
  mutable Mutex mutex_;
  int64_t next_age_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t grants_ ABSL_GUARDED_BY(mutex_) = 0;         // So far.
  int64_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;        // Claims, of all runs.
  bool budget_waits_ ABSL_GUARDED_BY(mutex_) = false;  // It knows that some wait.
  // Those of which somebody has or wants room, and their accounts in the same order.
  std::vector<Books*> active_ ABSL_GUARDED_BY(mutex_);
  std::vector<RoomAccount*> accounts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_SYNC_PUSH_ROOM_H_
