#include "core/base/utf8.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace gradd {

bool IsPrintableUtf8(absl::string_view text) {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text[0]);
    // How many bytes follow, and the lowest character that needs so many.
    const size_t rest = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    constexpr uint32_t kLowest[] = {0, 0x80, 0x800, 0x10000};
    constexpr unsigned kMask[] = {0x7f, 0x1f, 0x0f, 0x07};
    if ((first >= 0x80 && first < 0xc0) || first >= 0xf8 || text.size() <= rest) return false;
    uint32_t character = first & kMask[rest];
    for (size_t i = 1; i <= rest; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if ((byte & 0xc0) != 0x80) return false;
      character = character << 6 | (byte & 0x3f);
    }
    const bool surrogate = character >= 0xd800 && character < 0xe000;
    const bool control = character < 0x20 || (character >= 0x7f && character < 0xa0);
    if (character < kLowest[rest] || character > 0x10ffff || surrogate || control) return false;
    text.remove_prefix(rest + 1);
  }
  return true;
}

std::string Abbreviated(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  const auto continues = [text](size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  while (max_bytes > 0 && continues(max_bytes)) --max_bytes;
  return absl::StrCat(text.substr(0, max_bytes), "...");
}

}  // namespace gradd
