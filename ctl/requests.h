#ifndef GRADD_CTL_REQUESTS_H_
#define GRADD_CTL_REQUESTS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/run/run_labels.h"
#include "gradd/v1/run_service.pb.h"

namespace gradd::ctl {

// A field as it was given on the command line, and its value.
using Assignment = std::pair<std::string, std::string>;

// What `gradctl create` was asked for, apart from files.
struct NewRun {
  std::string run;        // Id or name.
  std::string optimizer;  // `sgd`, `momentum`, `nesterov`, `adagrad`, `rmsprop` or `adam`.
  std::string schedule;   // One of KindNames() for Schedule.
  std::string policy;     // The same for SynchronizationPolicy; empty: synchronous.
  RunLabels labels;
  std::vector<Assignment> fields;  // Short names and values.
};

// Whether `field` stands for one label of a run: `labels.group`. What is set depends on those that
// the run has.
bool IsLabel(absl::string_view field);

// The request for a run with this layout. An error if a field belongs to another optimizer,
// schedule or policy. `request_id` is left empty.
absl::StatusOr<v1::CreateRunRequest> MakeCreateRequest(const NewRun& run, const v1::Layout& layout);

// Reads a message from protobuf JSON; `source` names it in errors.
absl::StatusOr<v1::Layout> ParseLayout(absl::string_view source, const std::string& json);
absl::StatusOr<v1::Run> ParseRun(absl::string_view source, const std::string& json);

// `name=value` as an assignment.
absl::StatusOr<Assignment> ParseAssignment(absl::string_view text);

// Whether the change says by its short name which policy the run has from then on, as `--policy` of
// `gradctl create` does: `policy=bounded-staleness`. Other changes may say that policy's options.
bool NamesPolicy(const Assignment& change);

// The request that makes these changes to `current`, of which the name is used and, for short
// names that several kinds share and where a change NamesPolicy(), the kinds and what else is
// replaced. `author` is left empty.
absl::StatusOr<v1::UpdateRunRequest> MakeUpdateRequest(const v1::Run& current,
                                                       const std::vector<Assignment>& changes);

// Random, and different on every call.
std::string NewRequestId();

}  // namespace gradd::ctl

#endif  // GRADD_CTL_REQUESTS_H_
