#ifndef GRADD_CORE_SCHEDULE_FIELD_CHECKER_H_
#define GRADD_CORE_SCHEDULE_FIELD_CHECKER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/error.h"
#include "gradd/v1/schedule.pb.h"

namespace gradd {

// A range of real numbers, printed as [0, 1).
struct RealRange {
  double low;
  double high;
  bool low_open = false;
  bool high_open = false;

  // Also false for NaN.
  bool Contains(double value) const {
    return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
  }
  std::string Text() const {
    return absl::StrCat(low_open ? "(" : "[", low, ", ", high, high_open ? ")" : "]");
  }
};

// Checks the fields of one message and remembers the first that is wrong.
class FieldChecker {
 public:
  explicit FieldChecker(std::string path) : path_(std::move(path)) {}

  std::string Path(absl::string_view field) const { return absl::StrCat(path_, ".", field); }

  void Real(absl::string_view field, double value, const RealRange& range) {
    if (!range.Contains(value)) {
      Fail(field, absl::StrCat(value, " is outside ", range.Text()));
    }
  }
  // A count of steps in [low, 2^53].
  void Steps(absl::string_view field, int64_t value, int64_t low) {
    if (value < low || value > int64_t{1} << 53) {
      Fail(field, absl::StrCat(value, " is outside [", low, ", 2^53]"));
    }
  }
  void Positive(absl::string_view field, int64_t value) {
    if (value < 1) Fail(field, absl::StrCat(value, " is outside [1, 2^63)"));
  }
  // The length of a list.
  void Count(absl::string_view field, int count) {
    constexpr int kMaxEntries = 1000;
    if (count < 1 || count > kMaxEntries) {
      Fail(field, absl::StrCat(count, " entries, 1 to ", kMaxEntries, " expected"));
    }
  }
  // `value` of a field that comes after `last` in a list.
  void After(absl::string_view field, int64_t value, int64_t last) {
    if (value <= last) Fail(field, absl::StrCat(value, " is not above the one before, ", last));
  }
  void Enum(absl::string_view field, int value, bool valid, absl::string_view type) {
    if (!valid) Fail(field, absl::StrCat(value, " is no ", type));
  }
  void Annealing(absl::string_view field, v1::Annealing value) {
    Enum(field, value, v1::Annealing_IsValid(value), "Annealing");
  }
  void Fail(absl::string_view field, absl::string_view what) {
    Add(Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE",
              absl::StrCat(Path(field), ": ", what)));
  }
  void Add(const absl::Status& status) { status_.Update(status); }
  const absl::Status& status() const { return status_; }

 private:
  const std::string path_;
  absl::Status status_;
};

}  // namespace gradd

#endif  // GRADD_CORE_SCHEDULE_FIELD_CHECKER_H_
