#ifndef GRADD_CTL_REPORT_H_
#define GRADD_CTL_REPORT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/run/run_labels.h"
#include "google/protobuf/message.h"
#include "gradd/v1/run.pb.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd::ctl {

// What people read: a table of runs, fitted to `width` columns; 0: as wide as it is.
std::string RunTable(const v1::ListRunsResponse& runs, int width);
// `group=llm tier=2`, in the order of the keys.
std::string LabelsText(const RunLabels& labels);
// The runs that have these labels, as one line: how far they are, and how far apart; and a line for
// each that has something to say.
std::string GroupText(absl::string_view labels, const v1::ListRunsResponse& runs);
// What there is to say where there are no runs.
std::string NoRunsText(const v1::ListRunsResponse& runs, absl::Time now);

// Which of the runs end with the server, as one line; "" if all outlive it.
std::string MemoryOnlyText(const v1::ListRunsResponse& runs);

// What people read: everything about one run. Times are written as ages, seen from `now`.
// `newest_checkpoint` is how people are told of it, where that is known.
std::string RunPage(const v1::Run& run, absl::Time now, const std::string& newest_checkpoint = "");

// `101,770 parameters in 4 tensors`.
std::string SizeText(const v1::Run& run);

// What scripts read: one line of protobuf JSON, fields named as in the proto; fields with a default
// value are there too, unset optional ones are not.
std::string JsonLine(const google::protobuf::Message& message);

}  // namespace gradd::ctl

#endif  // GRADD_CTL_REPORT_H_
