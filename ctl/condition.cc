#include "ctl/condition.h"

#include "absl/strings/str_cat.h"
#include "core/base/duration.h"
#include "ctl/text.h"

namespace gradd::ctl {
namespace {

std::string StateWord(const v1::RunProgress& progress) {
  switch (progress.state()) {
    case v1::RUN_STATE_PAUSED:
      return "paused";
    case v1::RUN_STATE_HELD:
      return "held";
    case v1::RUN_STATE_FINISHED:
      return "finished";
    case v1::RUN_STATE_RECOVERING:
      return "recovering";
    case v1::RUN_STATE_DAMAGED:
      return "damaged";
    default:
      return progress.live_workers() == 0 ? "no workers" : "running";
  }
}

std::string WithReason(std::string text, const v1::RunProgress& progress) {
  if (progress.reason().empty()) return text;
  return absl::StrCat(text, ": ", progress.reason());
}

}  // namespace

std::string ConditionWord(const v1::RunProgress& progress) {
  switch (progress.condition()) {
    case v1::RUN_CONDITION_TRAINING:
      return "running";
    case v1::RUN_CONDITION_NO_WORKERS:
      return "no workers";
    case v1::RUN_CONDITION_WAITING_FOR_WORKERS:
    case v1::RUN_CONDITION_WAITING_FOR_PUSHES:
    case v1::RUN_CONDITION_WAITING_FOR_MEMORY:
    case v1::RUN_CONDITION_WAITING_FOR_DISK:
      return "waiting";
    case v1::RUN_CONDITION_DISK_FAILED:
      return "disk failed";
    case v1::RUN_CONDITION_RECOVERING:
      return "recovering";
    case v1::RUN_CONDITION_DAMAGED:
      return "damaged";
    case v1::RUN_CONDITION_DIVERGED:
      return "diverged";
    case v1::RUN_CONDITION_PAUSED:
      return "paused";
    case v1::RUN_CONDITION_HELD:
      return "held";
    case v1::RUN_CONDITION_FINISHED:
      return "finished";
    default:  // From a server that does not know of conditions.
      return StateWord(progress);
  }
}

std::string ConditionText(const v1::RunProgress& progress) {
  return WithReason(ConditionWord(progress), progress);
}

std::string TimedConditionText(const v1::RunProgress& progress) {
  std::string text = ConditionWord(progress);
  if (progress.has_condition_time()) {
    absl::StrAppend(&text, " for ", ClockText(FromProto(progress.condition_time())));
  }
  return WithReason(std::move(text), progress);
}

bool NeedsAttention(v1::RunCondition condition) {
  switch (condition) {
    case v1::RUN_CONDITION_NO_WORKERS:
    case v1::RUN_CONDITION_WAITING_FOR_WORKERS:
    case v1::RUN_CONDITION_WAITING_FOR_MEMORY:
    case v1::RUN_CONDITION_WAITING_FOR_DISK:
    case v1::RUN_CONDITION_DISK_FAILED:
    case v1::RUN_CONDITION_RECOVERING:
    case v1::RUN_CONDITION_DAMAGED:
    case v1::RUN_CONDITION_DIVERGED:
    case v1::RUN_CONDITION_PAUSED:
    case v1::RUN_CONDITION_HELD:
      return true;
    default:  // Where a push takes long, each step waits for pushes.
      return false;
  }
}

}  // namespace gradd::ctl
