#ifndef GRADD_CLIENT_DENSE_PUSH_ENCODER_H_
#define GRADD_CLIENT_DENSE_PUSH_ENCODER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/chunk_buffers.h"
#include "client/push_encoder.h"
#include "core/base/mutex.h"
#include "core/base/thread_pool.h"
#include "core/store/payload.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// Every element, up to a block at a time. What has to be encoded, a thread of its own encodes ahead
// of Next(), while the transport sends what is there: the server waits for it. It is woken for
// several chunks at a time. Where it is late, Next() encodes.
class DensePushEncoder final : public PushEncoder {
 public:
  // `encoding` is a dense one or INT8.
  DensePushEncoder(v1::Encoding encoding, uint64_t seed, int64_t elements);
  ~DensePushEncoder() override;

  absl::Status Begin(int64_t sequence, absl::Span<const float> gradient,
                     std::shared_ptr<const void> owner) override;
  void Rewind(int64_t max_chunk_bytes) override;
  bool done() const override { return next_ == chunks_; }
  Payload Next(v1::ParameterChunk* chunk) override;
  void Finish(bool applied) override;
  int64_t saturated() const override { return saturated_; }

 private:
  // So many chunks may be encoded and wait for Next(): some MiB.
  static constexpr int64_t kMostAhead = 8;

  // The data of a chunk.
  Payload Encode(int64_t chunk);
  // That of the next one, by whoever has begun it.
  Payload TakeNext();
  // In the thread: encodes until kMostAhead chunks wait, or all are done.
  void EncodeAhead();
  // Waits until the thread looks at nothing of the push any more.
  void Stop();

  int64_t BytesFor(int64_t elements) const;

  const v1::Encoding encoding_;
  const uint64_t seed_;
  const int64_t elements_;
  // Of the push. Constant while the thread works.
  uint64_t push_seed_ = 0;
  absl::Span<const float> gradient_;
  std::shared_ptr<const void> owner_;
  int64_t chunk_elements_ = 1;
  int64_t chunks_ = 0;
  ChunkBuffers buffers_;

  int64_t next_ = 0;  // The chunk that Next() returns.
  std::atomic<int64_t> saturated_{0};

  Mutex mutex_;
  CondVar changed_;
  // Those before it are being encoded, or have been, by either side.
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t most_begun_ ABSL_GUARDED_BY(mutex_) = 0;  // Where the thread stops.
  bool works_ ABSL_GUARDED_BY(mutex_) = false;      // The thread.
  // What the thread has encoded, chunk i at i % kMostAhead.
  std::array<std::optional<Payload>, kMostAhead> ready_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<ThreadPool> thread_;  // None where there is nothing to encode ahead.
};

}  // namespace gradd

#endif  // GRADD_CLIENT_DENSE_PUSH_ENCODER_H_
