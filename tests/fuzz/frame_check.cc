#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/frame_guard.h"
#include "tests/fuzz/checks.h"
#include "tests/fuzz/input.h"

namespace gradd {
namespace {

// Some moment; all bytes come at it.
constexpr absl::Duration kNow = absl::Seconds(5);

// The verdict on `bytes` after a preface that is cut like them.
bool GuardTakes(absl::string_view bytes, absl::string_view cuts) {
  FrameGuard guard(std::make_shared<CallRate>());
  const std::string all = absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes);
  for (const absl::string_view piece : Cut(all, cuts)) {
    if (!guard.Take({reinterpret_cast<const uint8_t*>(piece.data()), piece.size()}, kNow)) {
      return false;
    }
  }
  return true;
}

// The same as FrameGuard's comments have it, with all bytes at hand.
bool WalkTakes(absl::string_view bytes) {
  size_t block_frames = 0;
  size_t block_bytes = 0;
  int64_t control_frames = 0;
  int64_t calls = 0;
  while (bytes.size() >= 9) {
    const auto at = [bytes](size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const size_t size = 9 + (at(0) * 0x10000u + at(1) * 0x100u + at(2));
    switch (at(3)) {
      case 0:  // DATA
      case 8:  // WINDOW_UPDATE
        break;
      case 1:  // HEADERS
        if (++calls > CallRate::kMost) return false;
        [[fallthrough]];
      case 9:  // CONTINUATION
        block_bytes += size;
        if (++block_frames > FrameGuard::kMaxBlockFrames) return false;
        if (block_bytes > FrameGuard::kMaxBlockBytes) return false;
        if (at(4) & 4) block_frames = block_bytes = 0;  // END_HEADERS
        break;
      default:
        if (++control_frames > FrameGuard::kMaxControlFrames) return false;
    }
    if (size > bytes.size()) break;
    bytes.remove_prefix(size);
  }
  return true;
}

}  // namespace

std::string CheckFrames(absl::string_view bytes, absl::string_view cuts) {
  const bool expected = WalkTakes(bytes);
  const bool found = GuardTakes(bytes, cuts);
  if (found == expected) return "";
  return absl::StrCat("found ", found, ", expected ", expected, ", cut by ", absl::CHexEscape(cuts),
                      ": ", absl::CHexEscape(bytes));
}

}  // namespace gradd
