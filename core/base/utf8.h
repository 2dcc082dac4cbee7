#ifndef GRADD_CORE_BASE_UTF8_H_
#define GRADD_CORE_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace gradd {

// Whether `text` is well-formed UTF-8 (RFC 3629) of characters that are seen where they stand, so
// that it can be shown and logged as it is: no control characters (U+0000 to U+001F, U+007F to
// U+009F), no line and paragraph separators, and no format characters (Unicode's category Cf),
// which turn the direction of what follows (U+202E), have no width (U+200B) or hide text in tags.
bool IsPrintableUtf8(absl::string_view text);

// `text` for a terminal: what is printable stays, and so do ends of lines; all else becomes
// `\u202e`, or `\xff` where it is no UTF-8.
std::string ForTerminal(absl::string_view text);

// `text`, which is UTF-8; of a longer one the first `max_bytes`, less what would be a part of a
// character, then `...`.
std::string Abbreviated(absl::string_view text, size_t max_bytes);

// What somebody sent, for an error message: `"abc"`; of a longer one the beginning, then `...`, and
// with all that is not printable ASCII escaped.
std::string Quoted(absl::string_view text);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_UTF8_H_
