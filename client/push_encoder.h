#ifndef GRADD_CLIENT_PUSH_ENCODER_H_
#define GRADD_CLIENT_PUSH_ENCODER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/push_encoding.h"
#include "core/codec/int8.h"
#include "core/store/layout.h"
#include "core/store/payload.h"
#include "gradd/v1/training_service.pb.h"

namespace gradd {

// The least that one chunk must be allowed to hold: one group of INT8.
inline constexpr int64_t kMinChunkBytes = Int8Bytes(kInt8GroupElements);

// Cuts gradients into encoded chunks, one push after the other. Chunks are encoded when they are
// asked for, into memory that is used again when the transport is done with it.
//
// Begin() each push once; Rewind() whenever it is sent, also for the first time; then Next()
// until done(); Finish() or TakeBack() when its fate is known. Not thread safe.
class PushEncoder {
 public:
  // For gradients of `layout`. `encoding` is valid.
  static std::unique_ptr<PushEncoder> Create(const PushEncoding& encoding, const Layout& layout);
  virtual ~PushEncoder() = default;

  // Starts the push of `gradient`, which stays unchanged until its end. With FLOAT32 the
  // payloads borrow it and hold `owner`. INVALID_ARGUMENT, and nothing changed, if it cannot be
  // encoded.
  virtual absl::Status Begin(int64_t sequence, absl::Span<const float> gradient,
                             std::shared_ptr<const void> owner) = 0;

  // Starts from the first chunk, with chunks of at most `max_chunk_bytes` >= kMinChunkBytes of
  // data; more than 1 MiB is not used.
  virtual void Rewind(int64_t max_chunk_bytes) = 0;

  // Whether Next() has returned the last chunk.
  virtual bool done() const = 0;

  // The next chunk without its data, and the data.
  virtual Payload Next(v1::ParameterChunk* chunk) = 0;

  // Ends the push and lets go of the gradient and its owner. Where it did not become part of a
  // step, what it sent stays for the next one, if the encoding keeps anything.
  virtual void Finish(bool applied) = 0;
  // Ends a push that its caller takes back: nothing of it stays.
  virtual void TakeBack() { Finish(/*applied=*/true); }
  // What earlier pushes left behind does not count any more. Between two pushes.
  virtual void Forget() {}

  // How many elements of the push were written as +-65,504 since FLOAT16 has no larger numbers.
  // Once it is done(), until the next Rewind().
  virtual int64_t saturated() const { return 0; }
};

}  // namespace gradd

#endif  // GRADD_CLIENT_PUSH_ENCODER_H_
