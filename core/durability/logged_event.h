#ifndef GRADD_CORE_DURABILITY_LOGGED_EVENT_H_
#define GRADD_CORE_DURABILITY_LOGGED_EVENT_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/run/event_log.h"
#include "core/store/layout.h"
#include "core/store/payload.h"
#include "core/sync/staged_push.h"
#include "gradd/state/v1/log.pb.h"

namespace gradd {

// An event that people brought about, or the server in their place: the run was created, changed,
// paused, resumed, finished early or deleted, a timeline begun, or it went back to a checkpoint. It
// is on disk, whether or not the run keeps a journal, before anybody is told.
bool IsControlEvent(const state::v1::Event& event);

// The event as it is written down, with what describes the pushes.
state::v1::LoggedEvent DescribeEvent(const state::v1::Event& event, EventLog::Pushes pushes);

// The data of a push as it is written down: where it lies.
void AppendData(const StagedPush& push, std::vector<absl::string_view>* pieces);

// The pushes of an event that was written down for a run of that layout, checked as when they came.
// `data` is what followed the message, and stays where it is. INVALID_ARGUMENT names what does not
// fit.
absl::StatusOr<std::vector<std::shared_ptr<const StagedPush>>> ReadPushes(
    const state::v1::LoggedEvent& event, const Layout& layout, const Payload& data);

}  // namespace gradd

#endif  // GRADD_CORE_DURABILITY_LOGGED_EVENT_H_
