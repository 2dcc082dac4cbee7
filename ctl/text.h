#ifndef GRADD_CTL_TEXT_H_
#define GRADD_CTL_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/number_text.h"
#include "gradd/v1/run.pb.h"

namespace gradd::ctl {

// Three digits and a unit: `62.1k`, `850`, `3.4M`. `number` must be finite and not negative.
std::string RateText(double number);

// Four digits after the point where they say something: `0.3121`; else `1.2e-05`.
std::string LossText(double loss);

// `0:21`, `12:03`, `3:00:00`.
std::string ClockText(absl::Duration duration);

// Rows under headings, in columns two spaces apart; the first column is flush left, the others
// flush right. Ends with a line break.
std::string Table(const std::vector<std::string>& headings,
                  const std::vector<std::vector<std::string>>& rows);

// The same in at most `width` columns, where that can be had: what does not fit is cut from the
// last column, down to kLeastLastColumn, and then columns are left out, in the order of
// `dispensable`, which are headings. `width` 0: all of it.
constexpr size_t kLeastLastColumn = 20;
std::string FittedTable(std::vector<std::string> headings,
                        std::vector<std::vector<std::string>> rows, int width,
                        const std::vector<std::string>& dispensable);

// One run's progress in at most `width` columns:
//
//   fashion  [#####-----]  48 %  step 1920/4000  loss 0.3121  accuracy 0.8792  ...  0:21 left
//
// What does not fit is left out, the least important first, and the bar takes the room that is
// left. Without a total there is no bar. What is unknown or not finite is not shown.
std::string ProgressLine(absl::string_view run, const v1::RunProgress& progress, int width);

// The same for a log: everything, without a bar.
std::string ProgressLogLine(absl::string_view run, const v1::RunProgress& progress);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_TEXT_H_
