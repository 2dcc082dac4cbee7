#include "ctl/requests.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/run/live_fields.h"
#include "ctl/fields.h"
#include "ctl/run_name.h"
#include "ctl/status.h"
#include "google/protobuf/util/json_util.h"

namespace gradd::ctl {
namespace {

constexpr absl::string_view kLabelPrefix = "labels.";

absl::Status FromJson(absl::string_view source, const std::string& json,
                      google::protobuf::Message* message) {
  const auto& type = *message->GetDescriptor();
  if (absl::StripAsciiWhitespace(json).empty()) {
    return UsageError(absl::StrCat(source, " is empty; protobuf JSON of ", type.name(),
                                   " expected, such as ", JsonExample(type)));
  }
  const google::protobuf::util::Status parsed =
      google::protobuf::util::JsonStringToMessage(json, message);
  if (parsed.ok()) return absl::OkStatus();
  constexpr size_t kLongest = 300;  // It may have as much of the file as there is.
  return UsageError(absl::StrCat(source, " is not protobuf JSON of ", type.name(), ", such as ",
                                 JsonExample(type), ": ",
                                 Abbreviated(std::string(parsed.message()), kLongest)));
}

// Sets the member of `holder`'s oneof that people call `kind`.
absl::Status SetKind(const std::string& kind, google::protobuf::Message* holder) {
  const auto member = FindKind(*holder->GetDescriptor(), kind);
  GRADD_RETURN_IF_ERROR(member.status());
  holder->GetReflection()->MutableMessage(holder, *member);
  return absl::OkStatus();
}

// Makes the run's policy the one that people call `kind`, with defaults; one that it has already
// keeps the workers that it starts with. Returns the kind's path.
absl::StatusOr<std::string> ReplacePolicy(const std::string& kind, const v1::Run& current,
                                          v1::Run* run) {
  const auto member = FindKind(*v1::SynchronizationPolicy::descriptor(), kind);
  if (!member.ok()) {
    return UsageError(absl::StrCat("policy: ", member.status().message(), ", or JSON, such as ",
                                   JsonExample(*v1::SynchronizationPolicy::descriptor())));
  }
  v1::SynchronizationPolicy* const policy = run->mutable_policy();
  policy->GetReflection()->MutableMessage(policy, *member);
  if (policy->has_synchronous()) {
    policy->mutable_synchronous()->set_workers(
        std::max<int32_t>(current.policy().synchronous().workers(), 1));
  }
  return absl::StrCat("policy.", (*member)->name());
}

bool Overlap(const std::string& a, const std::string& b) {
  return a == b || absl::StartsWith(a, b + ".") || absl::StartsWith(b, a + ".");
}

// The first of the paths that were set whose oneof was taken by a later one; null if there is none.
const std::string* FirstLost(const v1::Run& run, const std::vector<std::string>& set) {
  for (const std::string& path : set) {
    const google::protobuf::Message* message = &run;
    const std::vector<std::string> parts = absl::StrSplit(path, '.');
    for (size_t i = 0; i < parts.size(); ++i) {
      const auto* field = message->GetDescriptor()->FindFieldByName(parts[i]);
      const bool is_last = i + 1 == parts.size();
      if (is_last && field->real_containing_oneof() == nullptr) break;
      if (!message->GetReflection()->HasField(*message, field)) return &path;
      if (!is_last) message = &message->GetReflection()->GetMessage(*message, field);
    }
  }
  return nullptr;
}

// Sets the field, as one of those that are set; not where one undoes the other.
absl::Status SetOne(const std::string& path, const std::string& value, v1::Run* run,
                    std::vector<std::string>* set) {
  GRADD_RETURN_IF_ERROR(SetField(path, value, run));
  if (const std::string* lost = FirstLost(*run, *set); lost != nullptr) {
    return UsageError(absl::StrCat("only one of ", *lost, " and ", path, " can be set"));
  }
  if (value != "default") set->push_back(path);
  return absl::OkStatus();
}

// `labels.KEY`. Labels are changed all at once: beside it, those that the run has stay.
void SetLabel(absl::string_view name, const std::string& value, const v1::Run& current,
              v1::UpdateRunRequest* request) {
  const auto& paths = request->update_mask().paths();
  if (std::find(paths.begin(), paths.end(), "labels") == paths.end()) {
    *request->mutable_run()->mutable_labels() = current.labels();
    request->mutable_update_mask()->add_paths("labels");
  }
  const std::string key(name.substr(kLabelPrefix.size()));
  if (value.empty()) {
    request->mutable_run()->mutable_labels()->erase(key);
  } else {
    (*request->mutable_run()->mutable_labels())[key] = value;
  }
}

}  // namespace

bool IsLabel(absl::string_view field) { return absl::StartsWith(field, kLabelPrefix); }

absl::StatusOr<v1::CreateRunRequest> MakeCreateRequest(const NewRun& run,
                                                       const v1::Layout& layout) {
  v1::CreateRunRequest request;
  request.set_run_id(RunId(run.run));
  v1::Run& created = *request.mutable_run();
  *created.mutable_layout() = layout;
  *created.mutable_labels() = run.labels;
  GRADD_RETURN_IF_ERROR(SetKind(run.optimizer, created.mutable_optimizer()));
  GRADD_RETURN_IF_ERROR(SetKind(run.schedule, created.mutable_schedule()));
  const std::string policy = run.policy.empty() ? "synchronous" : run.policy;
  GRADD_RETURN_IF_ERROR(SetKind(policy, created.mutable_policy()));
  if (created.policy().has_synchronous()) {
    created.mutable_policy()->mutable_synchronous()->set_workers(1);
  }
  std::vector<std::string> set;
  for (const auto& [name, value] : run.fields) {
    absl::StatusOr<std::string> path = ResolveField(name, created);
    if (!path.ok()) return UsageError(absl::StrCat("--", path.status().message()));
    GRADD_RETURN_IF_ERROR(SetOne(*path, value, &created, &set));
  }
  return request;
}

absl::StatusOr<v1::Layout> ParseLayout(absl::string_view source, const std::string& json) {
  v1::Layout layout;
  GRADD_RETURN_IF_ERROR(FromJson(source, json, &layout));
  return layout;
}

absl::StatusOr<v1::Run> ParseRun(absl::string_view source, const std::string& json) {
  v1::Run run;
  GRADD_RETURN_IF_ERROR(FromJson(source, json, &run));
  return run;
}

absl::StatusOr<Assignment> ParseAssignment(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return UsageError(
        absl::StrCat(Quoted(text), " is not field=value, such as learning-rate=0.01"));
  }
  return Assignment(text.substr(0, equals), text.substr(equals + 1));
}

bool NamesPolicy(const Assignment& change) {
  return change.first == "policy" && change.second != "default" &&
         !absl::StartsWith(change.second, "{");
}

absl::StatusOr<v1::UpdateRunRequest> MakeUpdateRequest(const v1::Run& current,
                                                       const std::vector<Assignment>& changes) {
  v1::UpdateRunRequest request;
  request.mutable_run()->set_name(current.name());
  std::vector<std::string> set;
  v1::Run kinds = current;  // Whose fields short names stand for.
  bool names_policy = false;
  for (const Assignment& change : changes) {
    if (!NamesPolicy(change)) continue;
    if (std::exchange(names_policy, true)) return UsageError("policy is set twice");
    absl::StatusOr<std::string> kind = ReplacePolicy(change.second, current, request.mutable_run());
    if (!kind.ok()) return kind.status();
    set.push_back(*std::move(kind));
    *kinds.mutable_policy() = request.run().policy();
    request.mutable_update_mask()->add_paths("policy");
  }
  std::vector<std::string> given(request.update_mask().paths().begin(),
                                 request.update_mask().paths().end());
  for (const auto& [name, value] : changes) {
    if (NamesPolicy({name, value})) continue;
    if (IsLabel(name)) {
      SetLabel(name, value, current, &request);
      continue;
    }
    absl::StatusOr<std::string> path = ResolveField(name, kinds);
    if (!path.ok()) return path.status();
    // It says which run is meant.
    if (*path == "name") return UsageError("name: a run cannot be renamed");
    if (!IsLiveField(*path)) {
      return UsageError(absl::StrCat(Abbreviated(*path, 80),
                                     ": stays as the run was created; what can be set is below ",
                                     kLiveFieldsText));
    }
    // Of a policy that is named, it is an option.
    const bool is_option = names_policy && absl::StartsWith(*path, "policy.");
    // One would undo the other.
    for (const std::string& other : given) {
      if (Overlap(*path, other) && !(is_option && other == "policy")) {
        return UsageError(other == *path
                              ? absl::StrCat(*path, " is set twice")
                              : absl::StrCat(*path, " and ", other, " are parts of each other"));
      }
    }
    GRADD_RETURN_IF_ERROR(SetOne(*path, value, request.mutable_run(), &set));
    given.push_back(*path);
    if (!is_option) request.mutable_update_mask()->add_paths(*path);
  }
  return request;
}

std::string NewRequestId() {
  std::random_device random;
  return absl::StrFormat("gradctl-%08x%08x%08x%08x", random(), random(), random(), random());
}

}  // namespace gradd::ctl
