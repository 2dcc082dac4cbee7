#include "core/base/finite_number.h"

#include <cmath>

#include "absl/strings/numbers.h"

namespace gradd {

bool ParseFinite(absl::string_view text, double* number) {
  if (!absl::SimpleAtod(text, number) || !std::isfinite(*number)) return false;
  const absl::string_view digits = text.substr(0, text.find_first_of("eE"));
  return *number != 0 || digits.find_first_of("123456789") == absl::string_view::npos;
}

}  // namespace gradd
