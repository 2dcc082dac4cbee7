#include "ctl/durability_text.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "core/base/duration.h"
#include "ctl/text.h"

namespace gradd::ctl {
namespace {

// What run.proto says of fields that are not set.
constexpr absl::Duration kDefaultInterval = absl::Minutes(1);
constexpr int32_t kDefaultKept = 3;
constexpr double kDefaultRateFactor = 0.5;
constexpr int32_t kDefaultRollbacks = 3;

// `a`, `a and b`, `a, b and c`.
std::string Enumerated(const std::vector<std::string>& parts) {
  if (parts.size() < 2) return absl::StrJoin(parts, "");
  return absl::StrCat(absl::StrJoin(parts.begin(), parts.end() - 1, ", "), " and ", parts.back());
}

}  // namespace

std::string JournalText(const v1::Run& run) {
  return run.journal() ? "yes: nothing is lost when the server dies"
                       : "no: steps since the newest checkpoint are lost when the server dies";
}

std::string CheckpointsText(const v1::Checkpoints& checkpoints, const std::string& newest) {
  std::vector<std::string> due;
  if (checkpoints.every_steps() > 0) {
    due.push_back(CountText(checkpoints.every_steps(), "step", "steps"));
  }
  const absl::Duration interval =
      checkpoints.has_every() ? FromProto(checkpoints.every()) : kDefaultInterval;
  if (interval > absl::ZeroDuration()) due.push_back(absl::FormatDuration(interval));
  std::vector<std::string> kept = {absl::StrCat(
      "the newest ", checkpoints.keep_last() == 0 ? kDefaultKept : checkpoints.keep_last())};
  if (checkpoints.keep_every_steps() > 0) {
    kept.push_back(
        absl::StrCat("one in each ", CountText(checkpoints.keep_every_steps(), "step", "steps")));
  }
  if (checkpoints.keep_best()) kept.push_back("the best");
  const bool one = kept.size() == 1 && checkpoints.keep_last() == 1;
  return absl::StrCat(due.empty() ? "when asked for, paused, finished or stopped"
                                  : absl::StrCat("every ", absl::StrJoin(due, " or ")),
                      ", ", Enumerated(kept), one ? " is kept" : " are kept",
                      newest.empty() ? "" : absl::StrCat("; newest: ", newest));
}

std::string GuardText(const v1::DivergenceGuard& guard) {
  switch (guard.action()) {
    case v1::DivergenceGuard::ACTION_PAUSE:
      return "pauses the run where it diverges";
    case v1::DivergenceGuard::ACTION_ROLL_BACK: {
      const int32_t most = guard.most_rollbacks() == 0 ? kDefaultRollbacks : guard.most_rollbacks();
      return absl::StrCat("rolls the run back where it diverges, at ",
                          guard.has_rate_factor() ? guard.rate_factor() : kDefaultRateFactor,
                          " x its rate, ", CountText(most, "time", "times"), " at most");
    }
    default:
      return "";
  }
}

}  // namespace gradd::ctl
