#ifndef GRADD_CORE_BASE_FIELD_CHECKER_H_
#define GRADD_CORE_BASE_FIELD_CHECKER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

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
  std::string Text() const {
    return absl::StrCat(low_open ? "(" : "[", low, ", ", high, high_open ? ")" : "]");
  }
};

inline constexpr Range kFromZeroBelowOne = {0, 1, false, true};
inline constexpr Range kZeroToOne = {0, 1};
inline constexpr Range kZeroToHalf = {0, 0.5};
inline constexpr Range kAboveZeroToOne = {0, 1, true, false};
inline constexpr Range kAboveZeroBelowOne = {0, 1, true, true};
inline constexpr Range kAboveZeroToHundred = {0, 100, true, false};
inline constexpr Range kUpToMillion = {0, 1e6};
inline constexpr Range kAboveZeroUpToMillion = {0, 1e6, true, false};
inline constexpr Range kPlusMinusMillion = {-1e6, 1e6};
inline constexpr Range kOneToMillion = {1, 1e6};
inline constexpr Range kAboveOneUpToMillion = {1, 1e6, true, false};
inline constexpr Range kUpToTrillion = {0, 1e12};

// Checks the fields of one message and remembers the first that is wrong, as INVALID_ARGUMENT with
// the field's path, what was found and what was expected:
//   optimizer.adam.beta1: 1.5 is outside [0, 1)
//   optimizer.adam.epsilon: 1e-46 is below 1.17549e-38, the least above 0 that float32 holds in
//   full
class FieldChecker {
 public:
  // `path` names the message, as in "optimizer.adam".
  explicit FieldChecker(std::string path) : path_(std::move(path)) {}

  std::string Path(absl::string_view field) const { return absl::StrCat(path_, ".", field); }

  // A number that is used in double.
  void Real(absl::string_view field, double value, const Range& range);
  // A number that is used in float32: it is in the range there too, and either 0 or not so small
  // that float32 loses some or all of its digits. So an epsilon above 0 stays above 0, and a factor
  // below 1 below 1.
  void Single(absl::string_view field, double value, const Range& range);
  // A count of steps in [low, 2^53].
  void Steps(absl::string_view field, int64_t value, int64_t low);
  void Positive(absl::string_view field, int64_t value);
  // The length of a list.
  void Count(absl::string_view field, int count);
  // `value` of a field that comes after `last` in a list.
  void After(absl::string_view field, int64_t value, int64_t last);
  void Enum(absl::string_view field, int value, bool valid, absl::string_view type);

  // Says what is wrong with a field: its value, and what was expected.
  void Refuse(absl::string_view field, absl::string_view what);
  void Add(const absl::Status& status) { status_.Update(status); }
  // The first refusal.
  const absl::Status& status() const { return status_; }

 private:
  const std::string path_;
  absl::Status status_;
};

}  // namespace gradd

#endif  // GRADD_CORE_BASE_FIELD_CHECKER_H_
