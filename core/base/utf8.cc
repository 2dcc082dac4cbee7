#include "core/base/utf8.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace gradd {
namespace {

struct Characters {
  uint32_t first;
  uint32_t last;
};

// In ascending order: control characters, separators of lines and paragraphs, and category Cf of
// Unicode 15.
constexpr Characters kUnseen[] = {
    {0x0000, 0x001f},   {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x0600, 0x0605},
    {0x061c, 0x061c},   {0x06dd, 0x06dd},   {0x070f, 0x070f},   {0x0890, 0x0891},
    {0x08e2, 0x08e2},   {0x180e, 0x180e},   {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f},   {0xfeff, 0xfeff},   {0xfff9, 0xfffb},   {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
    {0xe0000, 0xe007f},
};

bool IsSeen(uint32_t character) {
  const auto* const after = std::upper_bound(
      std::begin(kUnseen), std::end(kUnseen), character,
      [](uint32_t wanted, const Characters& range) { return wanted < range.first; });
  return after == std::begin(kUnseen) || character > std::prev(after)->last;
}

// The first character of `text`, which is not empty, and how many bytes it has; 0: it is none.
size_t FirstCharacter(absl::string_view text, uint32_t* character) {
  const auto first = static_cast<unsigned char>(text[0]);
  // How many bytes follow, and the lowest character that needs so many.
  const size_t rest = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
  constexpr uint32_t kLowest[] = {0, 0x80, 0x800, 0x10000};
  constexpr unsigned kMask[] = {0x7f, 0x1f, 0x0f, 0x07};
  if ((first >= 0x80 && first < 0xc0) || first >= 0xf8 || text.size() <= rest) return 0;
  *character = first & kMask[rest];
  for (size_t i = 1; i <= rest; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    *character = *character << 6 | (byte & 0x3f);
  }
  const bool surrogate = *character >= 0xd800 && *character < 0xe000;
  return *character < kLowest[rest] || *character > 0x10ffff || surrogate ? 0 : rest + 1;
}

}  // namespace

bool IsPrintableUtf8(absl::string_view text) {
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t bytes = FirstCharacter(text, &character);
    if (bytes == 0 || !IsSeen(character)) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string ForTerminal(absl::string_view text) {
  std::string shown;
  while (!text.empty()) {
    uint32_t character = 0;
    const size_t bytes = FirstCharacter(text, &character);
    if (bytes == 0) {
      absl::StrAppendFormat(&shown, "\\x%02x", static_cast<unsigned char>(text[0]));
    } else if (IsSeen(character) || character == '\n') {
      absl::StrAppend(&shown, text.substr(0, bytes));
    } else {
      absl::StrAppendFormat(&shown, "\\u%04x", character);
    }
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return shown;
}

std::string Abbreviated(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  const auto continues = [text](size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  while (max_bytes > 0 && continues(max_bytes)) --max_bytes;
  return absl::StrCat(text.substr(0, max_bytes), "...");
}

std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 80;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "..." : "", "\"");
}

}  // namespace gradd
