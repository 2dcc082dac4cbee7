#include "core/base/number_text.h"

#include "absl/strings/str_cat.h"

namespace gradd {

std::string GroupedText(int64_t number) {
  std::string digits = absl::StrCat(number);
  const size_t first = number < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > first + 3;) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string CountText(int64_t number, absl::string_view one, absl::string_view many) {
  return absl::StrCat(GroupedText(number), " ", number == 1 ? one : many);
}

}  // namespace gradd
