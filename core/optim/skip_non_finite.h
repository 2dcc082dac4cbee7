#ifndef GRADD_CORE_OPTIM_SKIP_NON_FINITE_H_
#define GRADD_CORE_OPTIM_SKIP_NON_FINITE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "core/optim/hyper_parameters.h"
#include "gradd/v1/optimizer.pb.h"

namespace gradd {

// How many pushes in a row may be skipped because they are not finite; 0: none. INVALID_ARGUMENT
// names field, value and range.
inline absl::StatusOr<int64_t> ReadSkipNonFinite(const v1::Optimizer& spec) {
  HyperParameters read("optimizer.skip_non_finite");
  const double most =
      GRADD_HYPER_PARAMETER(&read, spec.skip_non_finite(), max_in_a_row, 10, (Range{1, 1e6}));
  GRADD_RETURN_IF_ERROR(read.status());
  return spec.has_skip_non_finite() ? static_cast<int64_t>(most) : 0;
}

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_SKIP_NON_FINITE_H_
