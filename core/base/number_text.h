#ifndef GRADD_CORE_BASE_NUMBER_TEXT_H_
#define GRADD_CORE_BASE_NUMBER_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace gradd {

// `1,234,567`.
std::string GroupedText(int64_t number);

// `1 entry`, `2,000 entries`.
std::string CountText(int64_t number, absl::string_view one, absl::string_view many);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_NUMBER_TEXT_H_
