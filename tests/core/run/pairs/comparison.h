#ifndef GRADD_TESTS_CORE_RUN_PAIRS_COMPARISON_H_
#define GRADD_TESTS_CORE_RUN_PAIRS_COMPARISON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/core/run/pairs/reference_optimizer.h"

namespace gradd {

// What of a run differs first from its reference, in words. After the first difference nothing is
// compared any more.
class Comparison {
 public:
  bool ok() const { return fault_.empty(); }
  const std::string& fault() const { return fault_; }
  // What is said before a fault.
  void SetPlace(const std::string& place) { place_ = place; }

  void Fail(const std::string& what) {
    if (ok()) fault_ = absl::StrCat(place_, ": ", what);
  }
  template <typename Value>
  void ExpectSame(const char* what, const Value& found, const Value& expected) {
    if (!(found == expected)) Fail(absl::StrCat(what, ": ", found, ", expected ", expected));
  }
  void ExpectNear(const std::string& what, double found, double expected, double bound);

  // Vectors are made by that row from now on.
  void NoteRow(const OptimizerCase& row);
  // That a vector of the tiny model is that of the reference. Each element may differ by
  // `error_bound` of the rows times the largest magnitude that it has had (at least 0.1, as in the
  // table's own test). That bound holds in the table for a thousand steps of a problem that pulls
  // parameters back; here are at most two dozen, whose roundings nothing pulls back: each is up to
  // 2^-24 of the parameter as it was then. Where roundings grow, as where a small mean is
  // divided by, it may be more, as there: ten times what comes of rounding the reference's
  // parameters and gradients to float32; of this element, or where the row says that they grow, or
  // sums lose their digits, of any. "still" is exact.
  //
  // `of`: a method of the reference's optimizer.
  using VectorOf = std::vector<double> (ReferenceOptimizer::*)() const;
  void ExpectVector(const std::string& what, const std::vector<float>& found,
                    const ReferenceOptimizer& exact, const ReferenceOptimizer& rounded,
                    VectorOf of);

 private:
  std::string place_;
  std::string fault_;
  double error_bound_ = 0;
  bool roundings_grow_ = false;
};

}  // namespace gradd

#endif  // GRADD_TESTS_CORE_RUN_PAIRS_COMPARISON_H_
