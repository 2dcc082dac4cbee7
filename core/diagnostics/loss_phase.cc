#include "core/diagnostics/loss_phase.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error.h"

namespace gradd {
namespace {

v1::Phase Judge(const std::deque<double>& blocks) {
  const auto count = static_cast<double>(blocks.size());
  const double middle = (count - 1) / 2;
  double mean = 0;
  for (const double block : blocks) mean += block / count;
  double of_places = 0;
  double product = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const double place = static_cast<double>(i) - middle;
    of_places += place * place;
    product += place * (blocks[i] - mean);
  }
  const double slope = product / of_places;
  double residual = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const double off = blocks[i] - mean - slope * (static_cast<double>(i) - middle);
    residual += off * off;
  }
  const double slope_error = std::sqrt(residual / (count - 2) / of_places);
  const double fall = -slope * (count - 1);
  const double begin = mean - slope * middle;
  return slope < -LossPhase::kSlopeT * slope_error && fall > LossPhase::kLeastFall * std::abs(begin)
             ? v1::PHASE_DESCENDING
             : v1::PHASE_LEVEL;
}

}  // namespace

void LossPhase::AddBlock(double mean) {
  blocks_.push_back(mean);
  if (blocks_.size() < kBlocks) return;
  if (blocks_.size() > kBlocks) blocks_.pop_front();
  const v1::Phase judged = Judge(blocks_);
  const bool left_before = std::exchange(left_once_, judged != phase_);
  if (phase_ != v1::PHASE_STARTING && !(left_before && left_once_)) return;
  phase_ = judged;
  left_once_ = false;
}

void LossPhase::Write(state::v1::PhaseState* state) const {
  state->set_phase(phase_);
  state->clear_blocks();
  for (const double block : blocks_) state->add_blocks(block);
  state->set_left_once(left_once_);
}

absl::Status LossPhase::Read(const state::v1::PhaseState& state) {
  if (state.blocks_size() > static_cast<int>(kBlocks)) {
    return InvalidArgument("STATE_INVALID", absl::StrCat("phase.blocks: ", state.blocks_size(),
                                                         " means, at most ", kBlocks, " expected"));
  }
  const bool starts = state.blocks_size() < static_cast<int>(kBlocks);
  const v1::Phase phase =
      state.phase() == v1::PHASE_UNSPECIFIED ? v1::PHASE_STARTING : state.phase();
  const bool is_of_blocks = starts ? phase == v1::PHASE_STARTING
                                   : phase == v1::PHASE_DESCENDING || phase == v1::PHASE_LEVEL;
  if (!is_of_blocks) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("phase.phase: ", static_cast<int>(state.phase()), " after ",
                                        state.blocks_size(), " blocks"));
  }
  blocks_.assign(state.blocks().begin(), state.blocks().end());
  phase_ = phase;
  left_once_ = state.left_once();
  return absl::OkStatus();
}

}  // namespace gradd
