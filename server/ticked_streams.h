#ifndef GRADD_SERVER_TICKED_STREAMS_H_
#define GRADD_SERVER_TICKED_STREAMS_H_

#include <cstddef>
#include <unordered_set>

#include "absl/status/status.h"
#include "core/base/mutex.h"

namespace gradd {

// A stream of responses that looks now and then whether there is something to say.
class TickedStream {
 public:
  virtual ~TickedStream() = default;
  virtual void Tick() = 0;
  virtual void End(const absl::Status& status) = 0;
};

// All such streams of a server; the ticker drives them. Thread safe.
class TickedStreams {
 public:
  // Takes a stream in and ticks it once, or ends it because the server stops.
  void Add(TickedStream* stream);
  // It is done; it is not used any more when this returns.
  void Remove(TickedStream* stream);
  // Sends what is due. To be called about ten times a second.
  void Tick();
  // Ends all streams: the server stops.
  void EndAll();

 private:
  Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::unordered_set<TickedStream*> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gradd

#endif  // GRADD_SERVER_TICKED_STREAMS_H_
