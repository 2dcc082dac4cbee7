#include "server/frame_guard.h"

#include <algorithm>

namespace gradd {
namespace {

// RFC 9113, section 6.
constexpr uint8_t kData = 0;
constexpr uint8_t kHeaders = 1;
constexpr uint8_t kWindowUpdate = 8;
constexpr uint8_t kContinuation = 9;
constexpr uint8_t kEndHeaders = 4;

}  // namespace

bool FrameGuard::Take(absl::Span<const uint8_t> bytes, absl::Duration now) {
  const size_t preface = std::min(preface_left_, bytes.size());
  preface_left_ -= preface;
  bytes.remove_prefix(preface);
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const size_t skipped = std::min(payload_left_, bytes.size());
      payload_left_ -= skipped;
      bytes.remove_prefix(skipped);
      continue;
    }
    const size_t taken = std::min(kHeadBytes - head_bytes_, bytes.size());
    std::copy_n(bytes.begin(), taken, head_.begin() + head_bytes_);
    head_bytes_ += taken;
    bytes.remove_prefix(taken);
    if (head_bytes_ < kHeadBytes) break;
    head_bytes_ = 0;
    if (!Begin(now)) return false;
  }
  return true;
}

bool FrameGuard::Begin(absl::Duration now) {
  payload_left_ = size_t{head_[0]} << 16 | size_t{head_[1]} << 8 | head_[2];
  const uint8_t type = head_[3];
  const uint8_t flags = head_[4];
  if (type == kData || type == kWindowUpdate) return true;
  if (type != kHeaders && type != kContinuation) return control_frames_.Take(1, now);
  if (type == kHeaders && !rate_->Take(now)) return false;
  ++block_frames_;
  block_bytes_ += kHeadBytes + payload_left_;
  if (block_frames_ > kMaxBlockFrames || block_bytes_ > kMaxBlockBytes) return false;
  if ((flags & kEndHeaders) != 0) block_frames_ = block_bytes_ = 0;
  return true;
}

}  // namespace gradd
