#include "core/optim/parameter_groups.h"

#include <re2/re2.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"
#include "core/base/utf8.h"
#include "core/optim/hyper_parameters.h"
#include "core/optim/optimizer_factory.h"
#include "core/optim/own_rate.h"
#include "core/optim/row_stages.h"
#include "core/optim/skip_non_finite.h"

namespace gradd {
namespace {

constexpr int kMaxGroups = 100;
constexpr size_t kMaxPatternBytes = 256;

// An error of a group's optimizer, whose fields are "optimizer....", as one of the group's.
absl::Status Within(const std::string& path, const absl::Status& status) {
  if (status.ok()) return status;
  return Error(status.code(), ReasonOf(status), absl::StrCat(path, ".", status.message()));
}

absl::Status SetOptimizer(const v1::Optimizer& spec, ParameterGroup* group) {
  auto optimizer = MakeOptimizer(spec);
  GRADD_RETURN_IF_ERROR(optimizer.status());
  auto stages = MakeRowStages(spec);
  GRADD_RETURN_IF_ERROR(stages.status());
  const absl::StatusOr<GradientClip> clip = ReadGradientClip(spec);
  GRADD_RETURN_IF_ERROR(clip.status());
  group->optimizer = *std::move(optimizer);
  group->warms_up = !OwnRate(spec.kind_case()).has_value();
  group->stages = *std::move(stages);
  group->clip = *clip;
  return absl::OkStatus();
}

absl::StatusOr<ParameterGroup> MakeGroup(const std::string& path, const v1::ParameterGroup& spec,
                                         const v1::Optimizer& default_optimizer) {
  HyperParameters read(path);
  ParameterGroup group;
  group.learning_rate_factor =
      GRADD_HYPER_PARAMETER(&read, spec, learning_rate_factor, 1, kUpToMillion);
  if (spec.optimizer().has_skip_non_finite()) {
    read.Refuse("optimizer.skip_non_finite", "set, expected in the run's optimizer only");
  }
  if (spec.optimizer().has_accumulation_steps()) {
    read.Refuse("optimizer.accumulation_steps", "set, expected in the run's optimizer only");
  }
  if (spec.frozen() && (spec.has_learning_rate_factor() || spec.has_weight_decay() ||
                        spec.has_optimizer() || spec.shares_norms())) {
    read.Refuse("frozen",
                "true, and so is a learning_rate_factor, weight_decay, optimizer or shares_norms "
                "set, of which a frozen group has none");
  }
  if (spec.shares_norms() && spec.optimizer().has_clip_by_global_norm()) {
    read.Refuse("optimizer.clip_by_global_norm",
                "set, and so is shares_norms, with which the run's optimizer sets that bound");
  }
  GRADD_RETURN_IF_ERROR(read.status());
  v1::Optimizer merged = spec.has_optimizer() ? spec.optimizer() : default_optimizer;
  if (spec.has_weight_decay()) merged.set_weight_decay(spec.weight_decay());
  if (spec.shares_norms() && default_optimizer.has_clip_by_global_norm()) {
    merged.set_clip_by_global_norm(default_optimizer.clip_by_global_norm());
  }
  const absl::Status made = SetOptimizer(merged, &group);
  GRADD_RETURN_IF_ERROR(Within(path, made));
  if (spec.frozen()) return ParameterGroup();
  group.shares_norm = !spec.has_optimizer() || spec.shares_norms();
  group.shares_sums = group.shares_norm && merged.kind_case() == default_optimizer.kind_case();
  return group;
}

}  // namespace

absl::StatusOr<ParameterGroups> MakeParameterGroups(
    const Layout& layout, const v1::Optimizer& optimizer,
    const google::protobuf::RepeatedPtrField<v1::ParameterGroup>& groups) {
  if (groups.size() > kMaxGroups) {
    return InvalidArgument("TOO_MANY_GROUPS", absl::StrCat("groups: ", groups.size(), ", at most ",
                                                           kMaxGroups, " expected"));
  }
  GRADD_RETURN_IF_ERROR(ReadSkipNonFinite(optimizer).status());
  ParameterGroups made;
  const auto& tensors = layout.message().tensors();
  const auto none = static_cast<size_t>(groups.size());
  made.of_tensor.assign(static_cast<size_t>(tensors.size()), none);
  for (int g = 0; g < groups.size(); ++g) {
    const v1::ParameterGroup& spec = groups[g];
    const std::string path = absl::StrCat("groups[", g, "]");
    if (spec.pattern().size() > kMaxPatternBytes) {
      return InvalidArgument("PATTERN_INVALID",
                             absl::StrCat(path, ".pattern: ", spec.pattern().size(),
                                          " bytes, at most ", kMaxPatternBytes, " expected"));
    }
    if (!IsPrintableUtf8(spec.pattern())) {
      return InvalidArgument("PATTERN_INVALID",
                             absl::StrCat(path, ".pattern: ", Quoted(spec.pattern()),
                                          " has characters that are not seen, printable UTF-8 "
                                          "expected"));
    }
    const RE2 pattern(spec.pattern(), RE2::Quiet);
    if (spec.pattern().empty() || !pattern.ok()) {
      return InvalidArgument(
          "PATTERN_INVALID",
          absl::StrCat(path, ".pattern: \"", spec.pattern(), "\" is no RE2 expression",
                       pattern.ok() ? "" : absl::StrCat(": ", pattern.error())));
    }
    bool any = false;
    for (int i = 0; i < tensors.size(); ++i) {
      size_t& group = made.of_tensor[static_cast<size_t>(i)];
      if (!RE2::FullMatch(tensors[i].name(), pattern)) continue;
      any = true;
      if (group == none) group = static_cast<size_t>(g);
    }
    if (!any) {
      return InvalidArgument("PATTERN_INVALID",
                             absl::StrCat(path, ".pattern: \"", spec.pattern(),
                                          "\" is the whole name of no tensor of the layout"));
    }
    auto group = MakeGroup(path, spec, optimizer);
    GRADD_RETURN_IF_ERROR(group.status());
    made.groups.push_back(*std::move(group));
  }
  ParameterGroup by_default;
  GRADD_RETURN_IF_ERROR(SetOptimizer(optimizer, &by_default));
  made.groups.push_back(std::move(by_default));
  return made;
}

}  // namespace gradd
