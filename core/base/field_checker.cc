#include "core/base/field_checker.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"
#include "core/base/error.h"

namespace gradd {

void FieldChecker::Real(absl::string_view field, double value, const Range& range) {
  if (range.Contains(value)) return;
  Refuse(field, absl::StrFormat("%.15g is outside %s", value, range.Text()));
}

void FieldChecker::Single(absl::string_view field, double value, const Range& range) {
  constexpr double kLeast = std::numeric_limits<float>::min();
  const auto used = static_cast<double>(static_cast<float>(value));
  if (!range.Contains(value)) {
    Real(field, value, range);
  } else if (value != 0 && std::abs(value) < kLeast) {
    Refuse(field, absl::StrFormat("%.15g is %s %s%g, the least %s 0 that float32 holds in full",
                                  value, value > 0 ? "below" : "above", value > 0 ? "" : "-",
                                  kLeast, value > 0 ? "above" : "below"));
  } else if (!range.Contains(used)) {
    Refuse(field, absl::StrFormat("%.17g is %g in float32, in which it is used, and that is "
                                  "outside %s",
                                  value, used, range.Text()));
  }
}

void FieldChecker::Steps(absl::string_view field, int64_t value, int64_t low) {
  if (value < low || value > int64_t{1} << 53) {
    Refuse(field, absl::StrCat(value, " is outside [", low, ", 2^53]"));
  }
}

void FieldChecker::Positive(absl::string_view field, int64_t value) {
  if (value < 1) Refuse(field, absl::StrCat(value, " is outside [1, 2^63)"));
}

void FieldChecker::Count(absl::string_view field, int count) {
  constexpr int kMaxEntries = 1000;
  if (count < 1 || count > kMaxEntries) {
    Refuse(field, absl::StrCat(count, " entries, 1 to ", kMaxEntries, " expected"));
  }
}

void FieldChecker::After(absl::string_view field, int64_t value, int64_t last) {
  if (value <= last) Refuse(field, absl::StrCat(value, " is not above the one before, ", last));
}

void FieldChecker::Enum(absl::string_view field, int value, bool valid, absl::string_view type) {
  if (!valid) Refuse(field, absl::StrCat(value, " is no ", type));
}

void FieldChecker::Refuse(absl::string_view field, absl::string_view what) {
  Add(InvalidArgument("OUT_OF_RANGE", absl::StrCat(Path(field), ": ", what)));
}

}  // namespace gradd
