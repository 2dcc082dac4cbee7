#ifndef GRADD_SERVER_CALL_RATES_H_
#define GRADD_SERVER_CALL_RATES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/token_bucket.h"

namespace gradd {

// How many calls one host may begin, over all its connections. A call that its client resets, or
// whose connection it closes, takes some 20 KiB until gRPC has got to it; who begins them faster
// than that would take all memory (CVE-2023-44487, with or without RST_STREAM).
class CallRate {
 public:
  // At once, and a second in the long run. A worker begins one for its whole session; gRPC gets to
  // so many a second on a busy core too.
  static constexpr int64_t kMost = 4000;
  static constexpr int64_t kPerSecond = 1000;

  // A call begins. False if the host has gone too far. `now` never goes back. Thread safe.
  bool Take(absl::Duration now) {
    MutexLock lock(&mutex_);
    return bucket_.Take(1, now);
  }
  // Whether nothing is known of it that a new one would not know.
  bool IsUnused(absl::Duration now) {
    MutexLock lock(&mutex_);
    return bucket_.IsFull(now);
  }

 private:
  Mutex mutex_;
  TokenBucket bucket_ ABSL_GUARDED_BY(mutex_){kMost, kPerSecond};
};

// The rate of each host. Not thread safe.
class CallRates {
 public:
  // So many hosts are remembered; beyond that, only those that began calls in the last second.
  static constexpr size_t kRemembered = 10'000;

  std::shared_ptr<CallRate> Of(const std::string& host, absl::Duration now);
  size_t size() const { return rates_.size(); }

 private:
  std::map<std::string, std::shared_ptr<CallRate>> rates_;
};

}  // namespace gradd

#endif  // GRADD_SERVER_CALL_RATES_H_
