#ifndef GRADD_CORE_BASE_QUOTA_H_
#define GRADD_CORE_BASE_QUOTA_H_

#include <atomic>
#include <cstdint>
#include <memory>

namespace gradd {

// A number of bytes that several holders may take parts of. Nobody waits for a part: either it is
// there, or its holder does without. Thread safe.
class Quota : public std::enable_shared_from_this<Quota> {
 public:
  static std::shared_ptr<Quota> Create(int64_t limit_bytes) {
    return std::shared_ptr<Quota>(new Quota(limit_bytes));
  }

  // Takes `bytes` >= 0 until the result is destroyed; null if so many are not left.
  std::shared_ptr<const void> Take(int64_t bytes) {
    int64_t taken = taken_bytes_.load();
    do {
      if (bytes > limit_bytes_ - taken) return nullptr;
    } while (!taken_bytes_.compare_exchange_weak(taken, taken + bytes));
    return {static_cast<const void*>(this), [self = shared_from_this(), bytes](const void*) {
              self->taken_bytes_.fetch_sub(bytes);
            }};
  }

  int64_t taken_bytes() const { return taken_bytes_.load(); }

 private:
  explicit Quota(int64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  const int64_t limit_bytes_;
  std::atomic<int64_t> taken_bytes_{0};
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_QUOTA_H_
