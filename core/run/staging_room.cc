#include "core/run/staging_room.h"

#include <utility>

namespace gradd {

StagingRoom::Claim StagingRoom::Take(int64_t step, int64_t whole_step,
                                     std::function<void()> on_granted) {
  const auto take = [&](int64_t pushes, bool extends) {
    return budget_->TakeOrWait(pushes * push_bytes_, extends, std::move(on_granted));
  };
  if (whole_step == 0) return take(1, /*extends=*/false);
  if (step_.claim == nullptr || step_.step != step) {
    step_ = {take(whole_step, /*extends=*/false), step, whole_step - 1};
    return step_.claim;
  }
  if (step_.left == 0) return take(1, /*extends=*/true);
  --step_.left;
  return step_.claim;
}

void StagingRoom::Return(Claim* claim) {
  if (*claim == nullptr) return;
  if (*claim == step_.claim) ++step_.left;
  claim->reset();
  // Nobody is left to use what was claimed for the whole step.
  const bool unused = step_.claim != nullptr && step_.claim.use_count() == 1;
  if (unused) step_ = {};
}

}  // namespace gradd
