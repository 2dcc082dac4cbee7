#include "core/sync/push_room.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"

namespace gradd {
namespace {

constexpr size_t kMostNamed = 3;

// `3.2 GB`.
std::string BytesText(int64_t bytes) {
  constexpr double kThousand = 1000;
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  constexpr const char* kUnits[] = {"bytes", "kB", "MB", "GB", "TB"};
  while (amount >= kThousand && unit + 1 < std::size(kUnits)) {
    amount /= kThousand;
    ++unit;
  }
  return absl::StrFormat("%.3g %s", amount, kUnits[unit]);
}

}  // namespace

std::shared_ptr<PushRoom> PushRoom::Create(std::shared_ptr<MemoryBudget> budget,
                                           const Clock* clock) {
  std::shared_ptr<PushRoom> room(new PushRoom(std::move(budget), clock));
  room->budget_->SetOnRoom([weak = std::weak_ptr<PushRoom>(room)] {
    if (const std::shared_ptr<PushRoom> alive = weak.lock(); alive != nullptr) alive->Grant();
  });
  return room;
}

std::unique_ptr<PushRoom::Account> PushRoom::Open(std::string run, int64_t push_bytes,
                                                  std::function<void()> drop) {
  auto books = std::make_shared<Books>();
  books->run = std::move(run);
  books->drop = std::move(drop);
  books->account.push_bytes = push_bytes;
  return std::make_unique<Account>(shared_from_this(), std::move(books));
}

PushRoom::Account::~Account() {
  MutexLock lock(&room_->mutex_);
  books_->drop = nullptr;
}

PushRoom::ClaimPtr PushRoom::Account::Take(const std::string& worker, int64_t step,
                                           std::function<void()> on_granted) {
  auto ticket = std::make_shared<Ticket>();
  ticket->books = books_;
  ticket->worker = worker;
  ticket->step = step;
  room_->Enter(ticket.get(), std::move(on_granted));
  return std::make_unique<Claim>(room_, std::move(ticket));
}

void PushRoom::Account::SetPushesAStep(int64_t pushes) {
  MutexLock lock(&room_->mutex_);
  if (books_->account.pushes_a_step == pushes) return;
  books_->account.pushes_a_step = pushes;
  room_->BeginStep(books_.get(), books_->step);
  room_->Update(books_.get());
}

void PushRoom::Account::SetStanding(bool goes_on, bool rests, int64_t quiet_pushes,
                                    const std::string& why) {
  MutexLock lock(&room_->mutex_);
  RoomAccount& account = books_->account;
  // More may have been granted, or given back, since they were counted.
  quiet_pushes = std::min(quiet_pushes, account.settled_pushes);
  books_->why = why;
  if (account.goes_on == goes_on && account.rests == rests &&
      account.quiet_pushes == quiet_pushes) {
    return;
  }
  account.goes_on = goes_on;
  account.rests = rests;
  account.quiet_pushes = quiet_pushes;
  room_->Update(books_.get());
}

void PushRoom::Account::Dropped(bool rests) {
  MutexLock lock(&room_->mutex_);
  books_->has_dropped = true;
  books_->account.rests = rests;
  // Others were before it in the wrong order only: it keeps its turn.
  if (books_->account.goes_on) books_->aged_step = books_->step;
  room_->Update(books_.get());
}

std::string PushRoom::Account::Holders() const { return room_->Holders(*books_); }

void PushRoom::Enter(Ticket* ticket, std::function<void()> on_granted) {
  MutexLock lock(&mutex_);
  Books* const books = ticket->books.get();
  RoomAccount& account = books->account;
  ticket->age = next_age_++;
  if (ticket->step != books->step) BeginStep(books, ticket->step);
  const bool begins = account.open_pushes == 0 && books->waiting.empty();
  const bool anew = account.pushes_a_step > 0 && books->aged_step == ticket->step;
  if (begins && !anew) account.age = ticket->age;
  if (books->waiting.empty()) BeginToWait(books);
  books->waiting.push_back(ticket);
  ++account.waiting_pushes;
  ++waiting_;
  Update(books);
  // Whoever is granted at once sees it.
  if (ticket->bytes == nullptr) ticket->on_granted = std::move(on_granted);
}

void PushRoom::Leave(Ticket* ticket) {
  MutexLock lock(&mutex_);
  Books* const books = ticket->books.get();
  RoomAccount& account = books->account;
  if (ticket->bytes != nullptr) {
    ticket->bytes.reset();
    if (books->has_dropped) books->asked = false;
    for (Books* const other : active_) {
      const bool overtook = other != books && ticket->granted_at > other->waits_from &&
                            ticket->step_age > other->account.age;
      if (overtook) other->account.overtaken_bytes -= account.push_bytes;
    }
    books->granted.back()->place = ticket->place;
    std::swap(books->granted[ticket->place], books->granted.back());
    books->granted.pop_back();
    const bool open = account.pushes_a_step > 0 && ticket->step == books->step;
    --(open ? account.open_pushes : account.settled_pushes);
    account.quiet_pushes = std::min(account.quiet_pushes, account.settled_pushes);
    GRADD_DCHECK(account.open_pushes >= 0 && account.settled_pushes >= 0,
                 absl::StrCat(account.open_pushes, " and ", account.settled_pushes,
                              " pushes of run ", books->run));
  } else {
    const auto place = std::find(books->waiting.begin(), books->waiting.end(), ticket);
    GRADD_DCHECK(place != books->waiting.end(), ticket->worker);
    books->waiting.erase(place);
    --account.waiting_pushes;
    --waiting_;
    if (account.pushes_a_step == 0 && !books->waiting.empty()) {
      account.age = books->waiting.front()->age;
    }
  }
  Update(books);
}

void PushRoom::Move(Ticket* ticket, int64_t step) {
  MutexLock lock(&mutex_);
  if (ticket->step == step) return;
  ticket->step = step;
  Books* const books = ticket->books.get();
  BeginStep(books, std::max(books->step, step));
  Update(books);
}

void PushRoom::BeginStep(Books* books, int64_t step) {
  RoomAccount& account = books->account;
  books->step = step;
  account.open_pushes = account.settled_pushes = 0;
  for (const Ticket* const ticket : books->granted) {
    const bool open = account.pushes_a_step > 0 && ticket->step == step;
    ++(open ? account.open_pushes : account.settled_pushes);
  }
  account.quiet_pushes = std::min(account.quiet_pushes, account.settled_pushes);
}

void PushRoom::Update(Books* books) {
  const auto place = std::find(active_.begin(), active_.end(), books);
  const bool active = !books->granted.empty() || !books->waiting.empty();
  if (active && place == active_.end()) {
    active_.push_back(books);
    accounts_.push_back(&books->account);
  } else if (!active && place != active_.end()) {
    accounts_.erase(accounts_.begin() + (place - active_.begin()));
    active_.erase(place);
  }
  GrantLocked();
}

void PushRoom::Grant() {
  MutexLock lock(&mutex_);
  // Who could drop nothing when it was asked may be able to now.
  const absl::Duration now = clock_->Elapsed();
  for (Books* const books : active_) {
    if (books->has_dropped) books->asked = false;
    if (!books->account.waits_for_younger) {
      books->waits_since.reset();
    } else if (!books->waits_since.has_value()) {
      books->waits_since = now;
    }
    books->account.impatient =
        books->waits_since.has_value() && now - *books->waits_since >= kPatience;
  }
  GrantLocked();
}

void PushRoom::GrantLocked() {
  if (waiting_ == 0) {
    if (std::exchange(budget_waits_, false)) budget_->WantRoom(false, 0);
    return;
  }
  int64_t lacking = 0;
  const MemoryBudget::PushLimits limits = budget_->RoomForPushes();
  RoomRule rule(accounts_, limits.room, limits.beside);
  // The function is called with the lock held, where the analysis cannot see it.
  const auto grant = [&](size_t i) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (GrantFirst(active_[i], rule.IsSmall(*accounts_[i]))) return true;
    if (lacking == 0) lacking = accounts_[i]->push_bytes;
    return false;
  };
  for (const size_t i : rule.Apply(grant)) {
    Books* const books = active_[i];
    if (books->asked || books->drop == nullptr) continue;
    books->asked = true;
    books->has_dropped = false;
    books->drop();
  }
  const bool waits = waiting_ > 0;
  if (waits || budget_waits_) budget_->WantRoom(waits, lacking);
  budget_waits_ = waits;
}

void PushRoom::BeginToWait(Books* books) {
  books->waits_from = grants_;
  books->account.overtaken_bytes = 0;
  books->waits_since.reset();
  books->account.impatient = false;
}

bool PushRoom::GrantFirst(Books* books, bool small) {
  RoomAccount& account = books->account;
  Ticket* const ticket = books->waiting.front();
  const int64_t step_age = account.age;
  ticket->bytes = budget_->TakeForPush(account.push_bytes, small);
  if (ticket->bytes == nullptr) return false;
  books->waiting.pop_front();
  --account.waiting_pushes;
  --waiting_;
  ticket->place = books->granted.size();
  books->granted.push_back(ticket);
  const bool open = account.pushes_a_step > 0 && ticket->step == books->step;
  ++(open ? account.open_pushes : account.settled_pushes);
  if (account.pushes_a_step == 0 && !books->waiting.empty()) {
    account.age = books->waiting.front()->age;
  }
  ticket->granted_at = ++grants_;
  ticket->step_age = step_age;
  for (Books* const other : active_) {
    if (other != books && step_age > other->account.age) {
      other->account.overtaken_bytes += account.push_bytes;
    }
  }
  BeginToWait(books);
  ticket->granted.store(true, std::memory_order_release);
  // Under the lock, so that the ticket cannot go away before the call.
  if (ticket->on_granted) ticket->on_granted();
  return true;
}

std::string PushRoom::Holders(const Books& books) const {
  MutexLock lock(&mutex_);
  const Books* largest = nullptr;
  for (const Books* const other : active_) {
    if (other->granted.empty()) continue;
    if (largest == nullptr || other->account.held_bytes() > largest->account.held_bytes()) {
      largest = other;
    }
  }
  if (largest == nullptr) return "";
  std::vector<std::string> workers;
  for (const Ticket* const ticket : largest->granted) workers.push_back(ticket->worker);
  std::sort(workers.begin(), workers.end());
  workers.erase(std::unique(workers.begin(), workers.end()), workers.end());
  const size_t named = std::min(workers.size(), kMostNamed);
  std::string names =
      absl::StrJoin(workers.begin(), workers.begin() + static_cast<long>(named), ", ");
  if (workers.size() > named) absl::StrAppend(&names, " and ", workers.size() - named, " more");
  return absl::StrCat(largest == &books ? "this run" : absl::StrCat("run ", largest->run),
                      largest->why.empty() ? "" : absl::StrCat(", which ", largest->why, ","),
                      " has ", BytesText(largest->account.held_bytes()), " for ", names);
}

}  // namespace gradd
