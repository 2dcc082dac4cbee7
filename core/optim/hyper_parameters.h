#ifndef GRADD_CORE_OPTIM_HYPER_PARAMETERS_H_
#define GRADD_CORE_OPTIM_HYPER_PARAMETERS_H_

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/field_checker.h"

namespace gradd {

// Reads the hyper-parameters of one message, and remembers the first that is wrong. They are used
// in float32, and so their ranges hold there too.
class HyperParameters : public FieldChecker {
 public:
  using FieldChecker::FieldChecker;

  // The value of a field, or its default where it is not set.
  double Get(const char* field, bool is_set, double value, double default_value,
             const Range& range) {
    if (!is_set) return default_value;
    Single(field, value, range);
    return value;
  }
};

// The value of `message.field()`, an optional one, in `range`; `fallback` where it is not set.
#define GRADD_HYPER_PARAMETER(read, message, field, fallback, range)                             \
  (read)->Get(#field, (message).has_##field(), static_cast<double>((message).field()), fallback, \
              range)

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_HYPER_PARAMETERS_H_
