#include "client/retry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

// From the call to `welcome`, including the connection.
constexpr absl::Duration kMostPatience = absl::Seconds(20);
constexpr absl::Duration kLeastPatience = absl::Seconds(5);

}  // namespace

bool Retryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return true;
    case absl::StatusCode::kAborted:  // Unless a newer session of this very process took over.
      return ReasonOf(status) != "SESSION_TAKEN_OVER";
    default:
      return false;
  }
}

Retry::Retry(const SessionOptions& options, uint64_t seed, absl::Duration now)
    : server_(options.server),
      give_up_after_(options.give_up_after),
      backoff_(options.initial_backoff, options.maximum_backoff, seed),
      since_(now) {}

void Retry::Welcomed() {
  has_session_ = true;
  ++sessions_;
  backoff_.Reset();
}

Retry::Verdict Retry::Ended(const absl::Status& why, absl::Duration now) {
  if (std::exchange(has_session_, false)) since_ = now;
  Verdict verdict;
  if (!Retryable(why)) {
    verdict.failure = why;
    return verdict;
  }
  const absl::Duration wait = backoff_.Next();
  const std::string reason = why.message().empty() ? std::string("the server ended the stream")
                                                   : std::string(why.message());
  if (now + wait - since_ > give_up_after_) {
    verdict.failure = absl::UnavailableError(absl::StrCat(
        "no session with ", server_, " for ", absl::FormatDuration(give_up_after_), ": ", reason));
    return verdict;
  }
  verdict.at = now + wait;
  verdict.line = absl::StrCat("no session with ", server_, " (", reason, "); trying again in ",
                              absl::FormatDuration(absl::Trunc(wait, absl::Milliseconds(1))));
  return verdict;
}

absl::Duration Retry::WelcomeDue(absl::Duration now) const {
  const absl::Duration left = since_ + give_up_after_ - now;
  return now + std::clamp(left, kLeastPatience, kMostPatience);
}

}  // namespace gradd
