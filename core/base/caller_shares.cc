#include "core/base/caller_shares.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"

namespace gradd {

CallerShares::CallerShares(const Limit& limit)
    : limit_(limit),
      per_caller_(
          std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(limit.total) *
                                                    static_cast<double>(limit.percent) / 100))) {}

absl::StatusOr<CallerShares::Ticket> CallerShares::Take(const std::string& caller, int64_t count) {
  MutexLock lock(&state_->mutex);
  const auto found = state_->by_caller.find(caller);
  const int64_t has = found == state_->by_caller.end() ? 0 : found->second;
  if (has + count > per_caller_) {
    return Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_FOR_CALLER",
                 absl::StrCat("caller ", caller, " has ", has, " ", limit_.what, " and asks for ",
                              count, " more; one caller may have ", per_caller_, ", ",
                              limit_.percent, " % (--caller-percent) of the server's ",
                              limit_.total, " (--", limit_.flag, ")"));
  }
  if (state_->taken + count > limit_.total) {
    return Error(
        absl::StatusCode::kResourceExhausted, "TOO_MANY_IN_ALL",
        absl::StrCat("the server has ", state_->taken, " ", limit_.what, ", and ", count,
                     " more are more than its limit of ", limit_.total, " (--", limit_.flag, ")"));
  }
  state_->taken += count;
  state_->by_caller[caller] += count;
  // An address of its own is all that the ticket needs.
  return Ticket(state_.get(), [state = state_, caller, count](const void* /*ticket*/) {
    MutexLock release(&state->mutex);
    state->taken -= count;
    const auto has_now = state->by_caller.find(caller);
    GRADD_DCHECK(has_now != state->by_caller.end() && has_now->second >= count && state->taken >= 0,
                 absl::StrCat(caller, " gives back ", count, " and had less"));
    has_now->second -= count;
    if (has_now->second == 0) state->by_caller.erase(has_now);
  });
}

int64_t CallerShares::taken() const {
  MutexLock lock(&state_->mutex);
  return state_->taken;
}

}  // namespace gradd
