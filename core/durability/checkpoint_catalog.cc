#include "core/durability/checkpoint_catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/duration.h"
#include "core/base/error.h"

namespace gradd {
namespace {

constexpr int64_t kMostSteps = int64_t{1} << 53;
// Of those that there are, in a message.
constexpr size_t kMostNamed = 10;

}  // namespace

CheckpointCatalog::CheckpointCatalog(std::string run_id, const std::vector<KeptCheckpoint>& kept,
                                     const RunPast& past)
    : run_id_(std::move(run_id)) {
  v1::Checkpoint* newest = nullptr;
  v1::Checkpoint* best = nullptr;
  all_.reserve(kept.size());
  for (const KeptCheckpoint& one : kept) {
    v1::Checkpoint& checkpoint = all_.emplace_back();
    checkpoint.set_name(CheckpointName(one.name));
    checkpoint.set_timeline(one.name.timeline);
    checkpoint.set_step(one.name.step);
    *checkpoint.mutable_time() = ToProto(one.time);
    checkpoint.set_bytes(one.bytes);
    checkpoint.set_on_present_past(past.Has(one.name.timeline, one.name.step));
    if (checkpoint.on_present_past()) newest = &checkpoint;
    if (!one.evaluation_loss.has_value()) continue;
    checkpoint.set_evaluation_loss(*one.evaluation_loss);
    if (best == nullptr || *one.evaluation_loss < best->evaluation_loss()) best = &checkpoint;
  }
  if (newest != nullptr) newest->set_newest(true);
  if (best != nullptr) best->set_best(true);
}

absl::StatusOr<v1::Checkpoint> CheckpointCatalog::Find(const std::string& field, int64_t step,
                                                       uint64_t timeline) const {
  if (step < 0 || step > kMostSteps) {
    return InvalidArgument("OUT_OF_RANGE",
                           absl::StrCat(field, ": ", step, " is outside [0, 2^53]"));
  }
  const auto found = std::find_if(all_.rbegin(), all_.rend(), [&](const v1::Checkpoint& one) {
    const bool meant = timeline == 0 ? one.on_present_past() : one.timeline() == timeline;
    return one.step() == step && meant;
  });
  if (found != all_.rend()) return *found;
  return Error(absl::StatusCode::kNotFound, "CHECKPOINT_NOT_FOUND", NotFoundText(step, timeline));
}

std::string CheckpointCatalog::NotFoundText(int64_t step, uint64_t timeline) const {
  std::string text = absl::StrCat("run \"", run_id_, "\" has no checkpoint of step ", step);
  absl::StrAppend(&text,
                  timeline == 0 ? " that it has come by" : absl::StrCat(" of timeline ", timeline));
  if (all_.empty()) return absl::StrCat(text, ", and no other");
  std::vector<std::string> named;
  for (auto next = all_.rbegin(); next != all_.rend() && named.size() < kMostNamed; ++next) {
    named.push_back(absl::StrCat(next->step(), " (timeline ", next->timeline(),
                                 next->on_present_past() ? ")" : ", given up)"));
  }
  return absl::StrCat(text, "; it has those of step ", absl::StrJoin(named, ", "),
                      all_.size() > kMostNamed ? ", ..." : "");
}

}  // namespace gradd
