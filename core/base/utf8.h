#ifndef GRADD_CORE_BASE_UTF8_H_
#define GRADD_CORE_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace gradd {

// Whether `text` is well-formed UTF-8 (RFC 3629) without control characters (U+0000 to U+001F,
// U+007F to U+009F), so that it can be shown and logged as it is.
bool IsPrintableUtf8(absl::string_view text);

// `text`, which is UTF-8; of a longer one the first `max_bytes`, less what would be a part of a
// character, then `...`.
std::string Abbreviated(absl::string_view text, size_t max_bytes);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_UTF8_H_
