#ifndef GRADD_CORE_STORE_BLOCK_PROGRESS_H_
#define GRADD_CORE_STORE_BLOCK_PROGRESS_H_

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/mutex.h"

namespace gradd {

// Which blocks of a vector are final while a step is being applied, and who waits for one.
// Thread safe: whatever happened before SetFinal() is seen after Await() has returned true.
class BlockProgress {
 public:
  explicit BlockProgress(size_t blocks) : final_(blocks) {}

  // Whether `block` is final. If it is not, `wake` is called when it is, once, by the thread that
  // makes it so.
  bool Await(size_t block, std::function<void()> wake) {
    MutexLock lock(&mutex_);
    if (final_[block]) return true;
    waiting_.emplace_back(block, std::move(wake));
    return false;
  }

  void SetFinal(size_t block) {
    std::vector<std::function<void()>> wakes;
    {
      MutexLock lock(&mutex_);
      GRADD_DCHECK(!final_[block], absl::StrCat("block ", block, ": somebody may read it by now"));
      final_[block] = true;
      for (size_t i = 0; i < waiting_.size();) {
        if (waiting_[i].first != block) {
          ++i;
          continue;
        }
        wakes.push_back(std::move(waiting_[i].second));
        waiting_[i] = std::move(waiting_.back());
        waiting_.pop_back();
      }
    }
    for (const auto& wake : wakes) wake();
  }

 private:
  Mutex mutex_;
  std::vector<bool> final_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::pair<size_t, std::function<void()>>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_BLOCK_PROGRESS_H_
