#ifndef GRADD_CLIENT_RETRY_H_
#define GRADD_CLIENT_RETRY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/backoff.h"
#include "client/session.h"

namespace gradd {

// Whether trying again may go better after an end with `status`. OK counts too: the server ended a
// stream that this side had not.
bool Retryable(const absl::Status& status);

// Decides, after each try that failed and each session that was lost, whether and when to try
// again. It is told what happened and at what time, and answers; it waits for nothing and connects
// to nothing. Times are Clock::Elapsed().
//
//            Ended(), retryable
//         +----------------------+
//         v                      |
//   without a session ------ Welcomed() -----> with a session
//         |       ^                                 |
//         |       +----- Ended(), retryable --------+
//         v
//   given up: Ended() with what is final, or after `give_up_after` without a session
//
// Not thread safe.
class Retry {
 public:
  struct Verdict {
    // OK: try again. Otherwise nothing helps any more, and this is what the user hears.
    absl::Status failure;
    // Try again: not before this time.
    absl::Duration at;
    // Try again: what people are told.
    std::string line;
  };

  // Goes by the back-off and `give_up_after` of `options`, and names their server; the random part
  // of the back-off is from `seed`. The time without a session begins `now`.
  Retry(const SessionOptions& options, uint64_t seed, absl::Duration now);

  // There is a session. The next back-off is the initial one.
  void Welcomed();

  // A try failed or the session ended, with `why`.
  Verdict Ended(const absl::Status& why, absl::Duration now);

  // Until when a try that begins `now` may wait for its welcome: 20 seconds, or less where
  // `give_up_after` ends sooner, but at least 5 seconds.
  absl::Duration WelcomeDue(absl::Duration now) const;

  // How often Welcomed() was called.
  int64_t sessions() const { return sessions_; }

 private:
  const std::string server_;
  const absl::Duration give_up_after_;
  Backoff backoff_;
  int64_t sessions_ = 0;
  bool has_session_ = false;
  absl::Duration since_;  // Without a session.
};

}  // namespace gradd

#endif  // GRADD_CLIENT_RETRY_H_
