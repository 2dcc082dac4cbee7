// How a run begins a new timeline: what was computed on the one before counts no more.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/run/run.h"
#include "core/run/run_spec.h"

namespace gradd {

absl::Status Run::BeginTimeline(const std::string& author) {
  GRADD_RETURN_IF_ERROR(CheckChangeable());
  MutexLock lock(&mutex_);
  if (record_.deleted()) return DeletedError();
  if (draining_) return StoppingError();
  asked_timelines_.push_back(author);
  BeginTimelines();
  return absl::OkStatus();
}

void Run::BeginTimelines() {
  if (record_.deleted() || !engine_.settled()) return;
  for (const std::string& author : std::exchange(asked_timelines_, {})) {
    events_.BeginTimeline(author);
    TellOfTimeline(author);
  }
}

void Run::TellOfTimeline(const std::string& author) {
  const uint64_t timeline = record_.timeline()->number;
  engine_.SetTimeline(record_.timeline());
  NoteMove();
  reports_.TimelineBegun(timeline, author, engine_.step());
  const std::vector<SessionPtr> sessions = sessions_.List();
  for (const SessionPtr& session : sessions) {
    if (!session->state().sends_timelines) continue;
    SendTimeline(session.get(), timeline, engine_.step(),
                 sessions_.MemberOf(session.get())->ledger.sequence);
  }
  const auto dropped = std::make_shared<std::vector<PendingPush>>(waiting_.TakeAll());
  for (PendingPush& pending : *dropped) {
    const bool goes_on = pending.session != nullptr && pending.session->state().sends_timelines;
    pending.want_parameters = pending.want_parameters && goes_on;
    answers_.Resolve(pending, v1::PUSH_OUTCOME_ROLLED_BACK);
  }
  // They may be large, and their room is theirs until they are gone.
  pool_->Schedule([self = shared_from_this(), dropped] { dropped->clear(); });
  for (const SessionPtr& session : sessions) {
    const WorkerSession::State& state = session->state();
    if (!sessions_.Has(session.get())) continue;
    if (!state.sends_timelines) {
      sessions_.Dismiss(session.get(),
                        Error(absl::StatusCode::kAborted, "TIMELINE_ENDED",
                              absl::StrCat("run \"", run_id_, "\" began timeline ", timeline,
                                           " at step ", engine_.step(),
                                           ", and this stream, which was "
                                           "welcome on timeline ",
                                           state.timeline,
                                           ", has never sent one; join again and take the "
                                           "parameters")));
      continue;
    }
    sessions_.Retry(session.get());
    if (state.receiving) pool_->Schedule([session = session] { session->DropIfInVain(); });
  }
  leases_.Serve();
  JudgeRoom();
}

}  // namespace gradd
