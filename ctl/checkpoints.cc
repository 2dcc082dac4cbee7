#include "ctl/checkpoints.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "ctl/report.h"
#include "ctl/requests.h"
#include "ctl/run_name.h"
#include "ctl/text.h"

namespace gradd::ctl {
namespace {

std::string TimeAgoText(const google::protobuf::Timestamp& time, absl::Time now) {
  const absl::Time at = absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
  const absl::Duration age = std::max(now - at, absl::ZeroDuration());
  if (age < absl::Seconds(1)) return "now";
  return absl::StrCat(absl::FormatDuration(absl::Trunc(age, absl::Seconds(1))), " ago");
}

std::string BytesText(int64_t bytes) { return absl::StrCat(GroupedText(bytes), " bytes"); }

// `step 100 of timeline 1`.
std::string PlaceText(int64_t step, uint64_t timeline) {
  return absl::StrCat("step ", step, " of timeline ", timeline);
}

// `newest, best`.
std::string MarksText(const v1::Checkpoint& checkpoint) {
  std::vector<std::string> marks;
  if (checkpoint.newest()) marks.emplace_back("newest");
  if (checkpoint.best()) marks.emplace_back("best");
  if (!checkpoint.on_present_past()) marks.emplace_back("given up");
  return marks.empty() ? "-" : absl::StrJoin(marks, ", ");
}

std::vector<std::string> DifferenceRow(const v1::TensorDifference& difference) {
  return {difference.tensor().empty() ? "(all)" : difference.tensor(),
          GroupedText(difference.elements()), absl::StrFormat("%.4g", difference.norm()),
          absl::StrFormat("%.4g", difference.difference()),
          difference.has_relative() ? absl::StrFormat("%.4g", difference.relative()) : "-"};
}

}  // namespace

absl::Status MakeCheckpoint(const CommandLine& line, Client* client, Console* console) {
  v1::CheckpointRunRequest request;
  request.set_name(RunName(line.run));
  const absl::StatusOr<v1::Checkpoint> made = client->Checkpoint(request);
  GRADD_RETURN_IF_ERROR(made.status());
  if (line.json) {
    console->out << JsonLine(*made) << "\n";
  } else {
    console->out << RunId(line.run) << ": " << made->name() << ", "
                 << PlaceText(made->step(), made->timeline()) << ", " << BytesText(made->bytes())
                 << "\n";
  }
  return absl::OkStatus();
}

absl::Status ListCheckpoints(const CommandLine& line, Client* client, Console* console) {
  const auto response = client->ListCheckpoints(RunName(line.run));
  GRADD_RETURN_IF_ERROR(response.status());
  if (line.json) {
    console->out << JsonLine(*response) << "\n";
    return absl::OkStatus();
  }
  if (response->checkpoints().empty()) {
    console->out << RunId(line.run) << ": no checkpoints yet\n";
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::Checkpoint& checkpoint : response->checkpoints()) {
    rows.push_back({absl::StrCat(checkpoint.timeline()), absl::StrCat(checkpoint.step()),
                    TimeAgoText(checkpoint.time(), console->clock.WallTime()),
                    GroupedText(checkpoint.bytes()),
                    checkpoint.has_evaluation_loss() ? LossText(checkpoint.evaluation_loss()) : "-",
                    MarksText(checkpoint)});
  }
  console->out << Table({"TIMELINE", "STEP", "WHEN", "BYTES", "EVALUATION", "WHICH"}, rows);
  return absl::OkStatus();
}

absl::Status Restore(const CommandLine& line, Client* client, Console* console) {
  v1::RestoreRunRequest request;
  request.set_name(RunName(line.run));
  request.set_step(line.step);
  request.set_timeline(line.timeline);
  request.set_author(line.author);
  request.set_request_id(NewRequestId());
  const absl::StatusOr<v1::RestoreRunResponse> done = client->Restore(request);
  GRADD_RETURN_IF_ERROR(done.status());
  if (line.json) {
    console->out << JsonLine(*done) << "\n";
    return absl::OkStatus();
  }
  std::string text = absl::StrCat(RunId(line.run), ": went back from ",
                                  PlaceText(done->from_step(), done->from_timeline()), " to ",
                                  PlaceText(done->step(), done->checkpoint_timeline()),
                                  ", and goes on as timeline ", done->timeline(), "\n");
  for (const v1::Change& change : done->changes()) {
    const auto value = [](const std::string& shown) { return shown.empty() ? "-" : shown; };
    absl::StrAppend(&text, "  ", change.field(), ": ", value(change.old_value()), " -> ",
                    value(change.new_value()), "\n");
  }
  console->out << ForTerminal(text);
  return absl::OkStatus();
}

absl::Status Fork(const CommandLine& line, Client* client, Console* console) {
  v1::ForkRunRequest request;
  request.set_name(RunName(line.run));
  request.set_step(line.step);
  request.set_timeline(line.timeline);
  request.set_run_id(RunId(line.new_run_id));
  request.set_author(line.author);
  request.set_request_id(NewRequestId());
  if (!line.changes.empty()) {
    // `momentum` means another field in every optimizer.
    const absl::StatusOr<v1::Run> origin = client->Get(request.name());
    GRADD_RETURN_IF_ERROR(origin.status());
    absl::StatusOr<v1::UpdateRunRequest> update = MakeUpdateRequest(*origin, line.changes);
    GRADD_RETURN_IF_ERROR(update.status());
    request.mutable_run()->Swap(update->mutable_run());
    request.mutable_update_mask()->Swap(update->mutable_update_mask());
  }
  const absl::StatusOr<v1::Run> run = client->Fork(request);
  GRADD_RETURN_IF_ERROR(run.status());
  if (line.json) {
    console->out << JsonLine(*run) << "\n";
  } else {
    console->out << RunId(run->name()) << ": begins at step " << run->progress().step() << " of "
                 << RunId(line.run) << ", " << SizeText(*run) << "\n";
  }
  return absl::OkStatus();
}

absl::Status Diff(const CommandLine& line, Client* client, Console* console) {
  v1::DiffRunRequest request;
  request.set_name(RunName(line.run));
  request.set_step(line.step);
  request.set_timeline(line.timeline);
  request.set_other_step(line.other_step);
  request.set_other_timeline(line.other_timeline);
  const absl::StatusOr<v1::DiffRunResponse> response = client->Diff(request);
  GRADD_RETURN_IF_ERROR(response.status());
  if (line.json) {
    console->out << JsonLine(*response) << "\n";
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> rows = {DifferenceRow(response->total())};
  for (const v1::TensorDifference& tensor : response->tensors()) {
    rows.push_back(DifferenceRow(tensor));
  }
  std::string text = absl::StrCat(
      RunId(line.run), ": ", PlaceText(response->first().step(), response->first().timeline()),
      " to ", PlaceText(response->second().step(), response->second().timeline()), "\n",
      Table({"TENSOR", "ELEMENTS", "NORM", "CHANGE", "RELATIVE"}, rows));
  const int64_t more = response->tensor_count() - response->tensors_size();
  if (more > 0) absl::StrAppend(&text, "and ", GroupedText(more), " that changed less\n");
  console->out << ForTerminal(text);
  return absl::OkStatus();
}

std::string NewestCheckpointText(const v1::ListCheckpointsResponse& checkpoints, absl::Time now) {
  for (const v1::Checkpoint& checkpoint : checkpoints.checkpoints()) {
    if (!checkpoint.newest()) continue;
    return absl::StrCat("step ", checkpoint.step(), ", ", TimeAgoText(checkpoint.time(), now));
  }
  return "";
}

}  // namespace gradd::ctl
