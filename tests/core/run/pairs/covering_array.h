#ifndef GRADD_TESTS_CORE_RUN_PAIRS_COVERING_ARRAY_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_COVERING_ARRAY_H_

#include <functional>
#include <vector>

namespace gradd {

// One value for each of some factors, counted from 0.
using FactorRow = std::vector<int>;
// In rows that are not complete: not chosen yet.
inline constexpr int kOpenFactor = -1;

// Whether a row may have the values that it has. What may not be must not become possible by
// choosing more.
using MayBe = std::function<bool(const FactorRow& row)>;

// Complete rows in which any two values of any two factors come together, where they may. `sizes`:
// how many values each factor has. Each row begins with a pair that is not covered yet and takes,
// of every other factor, the value that covers most. The same arguments give the same rows.
std::vector<FactorRow> CoverPairs(const std::vector<int>& sizes, const MayBe& may_be);

// Two values that may come together.
struct FactorPair {
  int factor = 0;
  int value = 0;
  int other = 0;  // A later factor.
  int other_value = 0;
};
// Those that come together in no row.
std::vector<FactorPair> MissingPairs(const std::vector<FactorRow>& rows,
                                     const std::vector<int>& sizes, const MayBe& may_be);

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_COVERING_ARRAY_H_
