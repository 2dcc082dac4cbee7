#include "client/event_text.h"

#include "absl/strings/str_cat.h"

namespace gradd {

std::string EventText(const v1::RunEvent& event) {
  switch (event.kind()) {
    case v1::RUN_EVENT_KIND_PAUSED:
      return absl::StrCat("run paused at step ", event.step());
    case v1::RUN_EVENT_KIND_RESUMED:
      return absl::StrCat("run resumed at step ", event.step());
    case v1::RUN_EVENT_KIND_FINISHED:
      return absl::StrCat("run finished at step ", event.step());
    case v1::RUN_EVENT_KIND_STOPPING:
      return "the server is stopping";
    case v1::RUN_EVENT_KIND_TIMELINE:
      return absl::StrCat("run begins timeline ", event.timeline(), " at step ", event.step(),
                          ": what was computed before counts no more");
    default:
      return "";
  }
}

}  // namespace gradd
