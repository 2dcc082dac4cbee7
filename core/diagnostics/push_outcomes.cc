#include "core/diagnostics/push_outcomes.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

void PushOutcomes::Fill(v1::RunProgress* progress) const {
  const int64_t applied = counts_[v1::PUSH_OUTCOME_APPLIED] + counts_[v1::PUSH_OUTCOME_ACCUMULATED];
  progress->set_applied_pushes(applied);
  progress->set_rejected_pushes(std::accumulate(counts_.begin(), counts_.end(), int64_t{0}) -
                                applied - counts_[v1::PUSH_OUTCOME_DUPLICATE] -
                                counts_[v1::PUSH_OUTCOME_RESEND] -
                                counts_[v1::PUSH_OUTCOME_ABORTED]);
}

void PushOutcomes::Write(state::v1::OutcomesState* state) const {
  state->clear_counts();
  for (const int64_t count : counts_) state->add_counts(count);
}

absl::Status PushOutcomes::Read(const state::v1::OutcomesState& state) {
  if (state.counts_size() > static_cast<int>(counts_.size())) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("outcomes: ", state.counts_size(), " counts, at most ",
                                        counts_.size(), " expected"));
  }
  const auto negative = std::find_if(state.counts().begin(), state.counts().end(),
                                     [](int64_t count) { return count < 0; });
  if (negative != state.counts().end()) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("outcomes: ", *negative, " is negative"));
  }
  counts_ = {};
  std::copy(state.counts().begin(), state.counts().end(), counts_.begin());
  return absl::OkStatus();
}

}  // namespace gradd
