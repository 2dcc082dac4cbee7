#ifndef GRADD_SERVER_FRAME_GUARD_H_
#define GRADD_SERVER_FRAME_GUARD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/call_rates.h"
#include "server/token_bucket.h"

namespace gradd {

// Reads along what one HTTP/2 client sends and says when it is too much, where gRPC 1.51 knows no
// bound: it keeps all that CONTINUATION frames bring until the header field in them is complete
// (2.3 GB in 8 seconds were seen), takes its limit on metadata anew with each frame, and queues an
// answer for each SETTINGS and PING of a peer that does not read. Only the heads of frames are
// looked at, so this costs nothing beside the bytes.
class FrameGuard {
 public:
  // A header block (HEADERS and its CONTINUATIONs) may have so many frames and bytes, the frames'
  // heads included. gRPC's limit on metadata is less.
  static constexpr size_t kMaxBlockFrames = 8;
  static constexpr size_t kMaxBlockBytes = 64 << 10;
  // Frames that are neither headers nor data nor make room for it: so many at once, and so many a
  // second in the long run. An honest client sends one now and then.
  static constexpr int64_t kMaxControlFrames = 10'000;
  static constexpr int64_t kControlFramesPerSecond = 1000;

  // `rate`: of the calls that the client's host begins, over all its connections.
  explicit FrameGuard(std::shared_ptr<CallRate> rate) : rate_(std::move(rate)) {}

  // Takes the next bytes of the connection, from its first on, however they are cut. False if the
  // peer has gone too far: the connection must be closed. `now` never goes back.
  bool Take(absl::Span<const uint8_t> bytes, absl::Duration now);

 private:
  static constexpr size_t kHeadBytes = 9;

  // The head of a frame is complete.
  bool Begin(absl::Duration now);

  std::shared_ptr<CallRate> rate_;
  size_t preface_left_ = 24;  // gRPC checks it.
  std::array<uint8_t, kHeadBytes> head_ = {};
  size_t head_bytes_ = 0;
  size_t payload_left_ = 0;
  // Of the header block that has begun and is not complete.
  size_t block_frames_ = 0;
  size_t block_bytes_ = 0;
  TokenBucket control_frames_{kMaxControlFrames, kControlFramesPerSecond};
};

}  // namespace gradd

#endif  // GRADD_SERVER_FRAME_GUARD_H_
