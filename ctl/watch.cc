#include "ctl/watch.h"

#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/backoff.h"
#include "core/base/duration.h"
#include "core/base/error.h"
#include "ctl/condition.h"
#include "ctl/report.h"
#include "ctl/run_name.h"
#include "ctl/status.h"
#include "ctl/text.h"
#include "google/protobuf/util/message_differencer.h"

namespace gradd::ctl {
namespace {

constexpr char kHideCursor[] = "\x1b[?25l";
constexpr char kShowCursor[] = "\x1b[?25h";
constexpr char kStartOver[] = "\r\x1b[K";

// `is paused: by alice`.
std::string Sentence(const v1::RunProgress& progress) {
  const std::string reason = progress.reason().empty() ? "" : absl::StrCat(": ", progress.reason());
  switch (progress.condition()) {
    case v1::RUN_CONDITION_TRAINING:
      return absl::StrCat("is running again", reason);
    case v1::RUN_CONDITION_NO_WORKERS:
      return absl::StrCat("has no workers", reason);
    case v1::RUN_CONDITION_DIVERGED:
      return absl::StrCat("has diverged", reason);
    default:
      return absl::StrCat("is ", ConditionWord(progress), reason);
  }
}

// Shows progress as JSON lines, as log lines, or on one line of a terminal that is drawn again and
// again; there the cursor is hidden meanwhile.
class ProgressView {
 public:
  ProgressView(std::string run, bool json, Console* console)
      : run_(std::move(run)), json_(json), console_(console) {}

  ~ProgressView() {
    if (!drawn_) return;
    console_->out << "\n" << kShowCursor << std::flush;
  }

  ProgressView(const ProgressView&) = delete;
  ProgressView& operator=(const ProgressView&) = delete;

  void Show(const v1::RunProgress& progress) {
    const int width = json_ ? 0 : console_->width();
    if (width > 0) SayCondition(progress);
    if (json_) {
      console_->out << JsonLine(progress) << std::endl;
    } else if (width <= 0) {
      std::string text = ProgressLogLine(run_, progress);
      if (text == last_text_) return;
      console_->out << text << std::endl;
      last_text_ = std::move(text);
    } else {
      // A character in the last column would make some terminals go to the next line.
      console_->out << (drawn_ ? "" : kHideCursor) << kStartOver
                    << ProgressLine(run_, progress, width - 1) << std::flush;
      drawn_ = true;
    }
  }

  // Says something else, in the place of the progress.
  void Say(absl::string_view line) {
    if (drawn_) console_->out << kStartOver << std::flush;
    console_->err << std::string(line) << std::endl;
  }

 private:
  // Once for each condition that somebody has to do something about, and when it is over: the line
  // has no room for reasons. Those of a log, and JSON, have them anyway.
  void SayCondition(const v1::RunProgress& progress) {
    const bool needs = NeedsAttention(progress.condition());
    const bool over = progress.condition() == v1::RUN_CONDITION_TRAINING && said_.has_value();
    if (progress.condition() == said_.value_or(v1::RUN_CONDITION_UNSPECIFIED)) return;
    if (needs) {
      said_ = progress.condition();
    } else if (over) {
      said_.reset();
    } else {
      return;
    }
    Say(absl::StrCat("gradctl: ", run_, " ", Sentence(progress)));
  }

  const std::string run_;
  const bool json_;
  Console* const console_;
  bool drawn_ = false;
  std::optional<v1::RunCondition> said_;  // What was said last and is not over.
  std::string last_text_;                 // Of a log, where repeating it would say nothing.
};

// Whether `after` says of a finished run nothing that `before` has not said; its rates sink for a
// while and mean nothing any more.
bool NothingNew(v1::RunProgress before, v1::RunProgress after) {
  for (v1::RunProgress* progress : {&before, &after}) {
    progress->clear_steps_per_second();
    progress->clear_examples_per_second();
    progress->clear_elapsed();
    progress->clear_condition_time();
  }
  return after.state() == v1::RUN_STATE_FINISHED &&
         google::protobuf::util::MessageDifferencer::Equals(before, after);
}

// A run that cannot get better by itself and that nobody trains: there is nothing more to see.
bool IsLost(const v1::RunProgress& progress) {
  return progress.condition() == v1::RUN_CONDITION_DIVERGED && progress.live_workers() == 0;
}

absl::Status Retrying(const absl::Status& status) {
  return Error(status.code(), ReasonOf(status), absl::StrCat(status.message(), "; trying again"));
}

}  // namespace

absl::Status Watch(const CommandLine& line, Client* client, Console* console) {
  v1::WatchRunRequest request;
  request.set_name(RunName(line.run));
  *request.mutable_interval() = ToProto(line.interval);

  if (!line.json) {
    // What is wrong with the run, or the server, is said below.
    const absl::StatusOr<v1::Run> run = client->GetOnce(request.name());
    if (run.ok() && !run->kept()) {
      console->err << "gradctl: " << RunId(line.run)
                   << " is in the server's memory only, and gone with it" << std::endl;
    }
  }
  ProgressView view(RunId(line.run), line.json, console);
  Backoff backoff(absl::Milliseconds(100), absl::Seconds(5), std::random_device{}());
  bool seen = false;  // The server was there once.
  bool lost = false;  // It is not there now.
  absl::Duration lost_at;
  v1::RunProgress last;
  absl::Status end;  // Of the run, where that is why this ends.
  while (true) {
    absl::Status status = client->Watch(request, [&](const v1::RunProgress& progress) {
      if (lost && !line.json) view.Say("gradctl: connected again");
      seen = true;
      lost = false;
      backoff.Reset();
      // The last evaluation may come a little after the last step.
      if (NothingNew(last, progress)) return false;
      view.Show(progress);
      last = progress;
      if (IsLost(progress)) {
        end = Error(
            absl::StatusCode::kFailedPrecondition, "RUN_DIVERGED",
            absl::StrCat(RunId(line.run), " has diverged and has no workers: ", progress.reason()));
      }
      return end.ok() && console->out.good();
    });
    GRADD_RETURN_IF_ERROR(end);
    // The server is there and reads the run from its disk, however long that takes.
    const bool recovers = ReasonOf(status) == "RUN_RECOVERING";
    seen = seen || recovers;
    // A wrong address shall not be tried for a minute: only a server that was there may come back.
    if (status.code() != absl::StatusCode::kUnavailable || !seen) return status;
    if (!lost || recovers) lost_at = console->clock.Elapsed();
    if (!std::exchange(lost, true)) view.Say(ErrorText(Retrying(status), line.json));
    if (console->clock.Elapsed() - lost_at >= line.reconnect) return status;
    if (console->wait(backoff.Next())) return InterruptedError();
  }
}

}  // namespace gradd::ctl
