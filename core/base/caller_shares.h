#ifndef GRADD_CORE_BASE_CALLER_SHARES_H_
#define GRADD_CORE_BASE_CALLER_SHARES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/mutex.h"

namespace gradd {

// Something of which a server has so many at a time, such as watches, and one caller a part of them
// at most: what one has does not lock out the others. A caller is whoever calls from one host.
// Thread safe.
class CallerShares {
 public:
  struct Limit {
    std::string what;  // In the plural, for people.
    std::string flag;  // That sets `total`.
    int64_t total = 0;
    int64_t percent = 0;  // Of `total` for one caller, but at least one.
  };
  explicit CallerShares(const Limit& limit);

  // What was taken, until the last reference is gone. May outlive the CallerShares.
  using Ticket = std::shared_ptr<const void>;

  // Takes `count` >= 1 for `caller`. RESOURCE_EXHAUSTED, with nothing taken, where that is more
  // than all, or than the caller, may have: TOO_MANY_FOR_CALLER or TOO_MANY_IN_ALL. The message
  // names the limit and its flag.
  absl::StatusOr<Ticket> Take(const std::string& caller, int64_t count = 1);

  int64_t taken() const;

 private:
  struct State {
    Mutex mutex;
    int64_t taken ABSL_GUARDED_BY(mutex) = 0;
    std::map<std::string, int64_t> by_caller ABSL_GUARDED_BY(mutex);  // None at 0.
  };
  const Limit limit_;
  const int64_t per_caller_;
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_CALLER_SHARES_H_
