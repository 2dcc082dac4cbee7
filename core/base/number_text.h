#ifndef GRADD_CORE_BASE_NUMBER_TEXT_H_
#define GRADD_CORE_BASE_NUMBER_TEXT_H_

#include <cstdint>
#include <string>

namespace gradd {

// `1,234,567`.
std::string GroupedText(int64_t number);

}  // namespace gradd

#endif  // GRADD_CORE_BASE_NUMBER_TEXT_H_
