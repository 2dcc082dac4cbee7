#ifndef GRADD_TESTS_CORE_RUN_PAIRS_PUSHED_GRADIENT_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_PUSHED_GRADIENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/trainee.h"

namespace gradd {

// How workers write their gradients.
enum class PushForm { kFloat32, kBfloat16, kFloat16, kInt8, kTopK, kRandomK, kRows };
inline constexpr int kPushForms = 7;
std::string NameOf(PushForm form);

// A gradient of the tiny model as it is pushed, and what it says.
struct PushedGradient {
  std::vector<Part> parts;      // At least two chunks, written by the codecs.
  std::vector<double> values;   // What these bytes mean, read in double and without the codecs.
  std::vector<char> has_value;  // kRows: of which elements there is a gradient. Empty: of all.
};

// Depends on its arguments alone.
PushedGradient MakePushedGradient(PushForm form, uint64_t seed);

// As float32, with a NaN in it.
std::vector<Part> NonFiniteParts();

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_PUSHED_GRADIENT_H_
