#ifndef GRADD_TESTS_SUPPORT_LANDSCAPES_H_
#define GRADD_TESTS_SUPPORT_LANDSCAPES_H_

// How tests that have every landscape as their parameter name it.

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>

#include "worker/models/landscape.h"

namespace gradd {

inline void PrintTo(const LandscapeInfo& info, std::ostream* out) { *out << info.name; }

inline std::string LandscapeName(const testing::TestParamInfo<LandscapeInfo>& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace gradd

#endif  // GRADD_TESTS_SUPPORT_LANDSCAPES_H_
