#include "core/step/window_facts.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {

void WindowFacts::Add(const state::v1::FoldedPush& fold, int64_t step) {
  const state::v1::DecidedPush& push = fold.push();
  ++pushes;
  examples += push.examples();
  const double share = static_cast<double>(push.examples()) / static_cast<double>(examples);
  loss += share * (push.loss() - loss);
  staleness = std::max(staleness, step - push.base_step());
  largest = std::max(largest, fold.largest());
}

void WindowFacts::Write(state::v1::WindowState* state) const {
  state->set_pushes(pushes);
  state->set_examples(examples);
  state->set_loss(loss);
  state->set_staleness(staleness);
  state->set_largest(largest);
}

absl::Status WindowFacts::Read(const state::v1::WindowState& state) {
  if (state.pushes() < 0 || state.examples() < state.pushes() || state.staleness() < 0) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("window: ", state.pushes(), " pushes of ", state.examples(),
                                        " examples, at most ", state.staleness(), " steps old"));
  }
  if (!std::isfinite(state.loss()) || !std::isfinite(state.largest()) || state.largest() < 0) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("window: a loss of ", state.loss(), " and magnitudes of ",
                                        state.largest(), ", finite ones expected"));
  }
  pushes = state.pushes();
  examples = state.examples();
  loss = state.loss();
  staleness = state.staleness();
  largest = state.largest();
  return absl::OkStatus();
}

}  // namespace gradd
