#include "server/ticked_streams.h"

#include "core/base/error.h"

namespace gradd {
void TickedStreams::Add(TickedStream* stream) {
  MutexLock lock(&mutex_);
  if (ended_) return stream->End(StoppingError());
  streams_.insert(stream);
  // Under the lock: the stream cannot be removed and deleted before it returns.
  stream->Tick();
}

void TickedStreams::Remove(TickedStream* stream) {
  MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void TickedStreams::Tick() {
  MutexLock lock(&mutex_);
  for (TickedStream* stream : streams_) stream->Tick();
}

void TickedStreams::EndAll() {
  MutexLock lock(&mutex_);
  ended_ = true;
  for (TickedStream* stream : streams_) stream->End(StoppingError());
}

}  // namespace gradd
