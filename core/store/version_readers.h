#ifndef GRADD_CORE_STORE_VERSION_READERS_H_
#define GRADD_CORE_STORE_VERSION_READERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/store/snapshot.h"
#include "core/store/store_memory.h"

namespace gradd {

// Who reads versions of parameters, over all runs of a server, and how their memory comes back when
// it is needed: no step waits for a reader, so the slowest ones lose what they read.
//
// Thread safe. GiveBack() may be called with any lock held but those of pools.
class VersionReaders : public std::enable_shared_from_this<VersionReaders> {
 public:
  // In the order in which they lose their versions.
  enum class Kind {
    kPull,     // Somebody looks at the parameters.
    kSession,  // A worker waits for them.
  };

  // One reader's hold on a snapshot. It must ask for the snapshot again for each block, and keep no
  // more than that block in between.
  class Hold {
   public:
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    // Null from the time on at which it is lost.
    std::shared_ptr<const Snapshot> snapshot() const;
    int64_t step() const { return step_; }

   private:
    friend class VersionReaders;
    using Place = std::pair<Kind, int64_t>;  // Kind, and the order of their beginning.
    Hold(std::shared_ptr<VersionReaders> readers, Place place,
         std::shared_ptr<const Snapshot> snapshot);

    const std::shared_ptr<VersionReaders> readers_;
    const Place place_;
    const int64_t step_;
    mutable Mutex mutex_;
    std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  };

  static std::shared_ptr<VersionReaders> Create() {
    return std::shared_ptr<VersionReaders>(new VersionReaders());
  }

  std::shared_ptr<Hold> Add(Kind kind, std::shared_ptr<const Snapshot> snapshot);

  // From now on, `store` gives back what its pools keep for later.
  void AddStore(std::weak_ptr<StoreMemory> store);

  // Gives some memory back: what pools keep without use or, if there is none, the version of the
  // slowest reader: pulls before sessions, and of those the one that has been at it the longest.
  // Readers of the newest parameters cost nothing and keep them, except those of `stepping`, which
  // is about to overwrite them. False if there is nothing left to give.
  bool GiveBack(const StoreMemory* stepping = nullptr);

  // What a reader ends with that lost the version of `step`: ABORTED, to be begun again.
  static absl::Status LostError(int64_t step);

  // Blocks that readers who lost their version may still have on their way: one each.
  int64_t lost_holds() const;

 private:
  VersionReaders() = default;
  int64_t FreeUnused();
  // Takes the version of the slowest reader whose loss helps; false if there is none.
  bool TakeFromSlowest(const StoreMemory* stepping);
  void Remove(const Hold* hold);

  mutable Mutex mutex_;
  std::map<Hold::Place, std::weak_ptr<Hold>> holds_ ABSL_GUARDED_BY(mutex_);
  std::set<const Hold*> lost_ ABSL_GUARDED_BY(mutex_);
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::weak_ptr<StoreMemory>> stores_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_CORE_STORE_VERSION_READERS_H_
