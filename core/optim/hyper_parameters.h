#ifndef GRADD_CORE_OPTIM_HYPER_PARAMETERS_H_
#define GRADD_CORE_OPTIM_HYPER_PARAMETERS_H_

#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/error.h"

namespace gradd {

// A range of real numbers, printed as [0, 1).
struct Range {
  double low;
  double high;
  bool low_open = false;
  bool high_open = false;

  // False for NaN.
  bool Contains(double value) const {
    return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
  }
};

inline constexpr Range kFromZeroBelowOne = {0, 1, false, true};
inline constexpr Range kZeroToOne = {0, 1};
inline constexpr Range kAboveZeroToOne = {0, 1, true, false};
inline constexpr Range kAboveZeroBelowOne = {0, 1, true, true};
inline constexpr Range kUpToMillion = {0, 1e6};
inline constexpr Range kAboveZeroUpToMillion = {0, 1e6, true, false};
inline constexpr Range kPlusMinusMillion = {-1e6, 1e6};
inline constexpr Range kAboveOneUpToMillion = {1, 1e6, true, false};
inline constexpr Range kUpToTrillion = {0, 1e12};

// Reads the hyper-parameters of one message and remembers the first that is wrong.
class HyperParameters {
 public:
  // `path` names the message, as in "optimizer.adam".
  explicit HyperParameters(std::string path) : path_(std::move(path)) {}

  // The value of a field, or its default where it is not set.
  double Get(const char* field, bool is_set, double value, double default_value,
             const Range& range) {
    if (!is_set) return default_value;
    if (!range.Contains(value)) {
      Refuse(field, absl::StrCat(absl::StrFormat("%.15g", value), " is outside ",
                                 range.low_open ? "(" : "[", range.low, ", ", range.high,
                                 range.high_open ? ")" : "]"));
    }
    return value;
  }

  // Says what is wrong with a field: its value, and what was expected.
  void Refuse(const char* field, const std::string& what) {
    status_.Update(InvalidArgument("OUT_OF_RANGE", absl::StrCat(path_, ".", field, ": ", what)));
  }

  // The first refusal.
  const absl::Status& status() const { return status_; }

 private:
  const std::string path_;
  absl::Status status_;
};

// The value of `message.field()`, an optional one, in `range`; `fallback` where it is not set.
#define GRADD_HYPER_PARAMETER(read, message, field, fallback, range)                             \
  (read)->Get(#field, (message).has_##field(), static_cast<double>((message).field()), fallback, \
              range)

}  // namespace gradd

#endif  // GRADD_CORE_OPTIM_HYPER_PARAMETERS_H_
