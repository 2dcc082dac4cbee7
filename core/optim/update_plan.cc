#include "core/optim/update_plan.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"

namespace gradd {

absl::StatusOr<std::unique_ptr<UpdatePlan>> UpdatePlan::Create(
    const Layout& layout, const v1::Optimizer& optimizer,
    const google::protobuf::RepeatedPtrField<v1::ParameterGroup>& groups, int64_t block_elements,
    int threads) {
  auto made = MakeParameterGroups(layout, optimizer, groups);
  GRADD_RETURN_IF_ERROR(made.status());
  return std::unique_ptr<UpdatePlan>(
      new UpdatePlan(layout, *std::move(made), block_elements, threads));
}

UpdatePlan::UpdatePlan(const Layout& layout, ParameterGroups groups, int64_t block_elements,
                       int threads)
    : partition_(layout, std::move(groups), block_elements),
      kept_(&partition_),
      loop_(&partition_, &kept_, threads) {}

int64_t UpdatePlan::slot_bytes() const {
  int64_t elements = 0;
  for (const SlotVector& slot : slots(nullptr).slots) {
    for (int64_t begin = 0; begin < partition_.elements(); begin += partition_.block_elements()) {
      const int64_t end = std::min(begin + partition_.block_elements(), partition_.elements());
      if (slot.Meets(begin, end)) elements += end - begin;
    }
  }
  return elements * static_cast<int64_t>(sizeof(float));
}

void UpdatePlan::Allocate() {
  kept_.Allocate();
  loop_.Allocate();
}

absl::Status UpdatePlan::Restore(const PlanState& state) {
  GRADD_RETURN_IF_ERROR(kept_.Restore(state));
  loop_.ForgetMeasure();
  return absl::OkStatus();
}

}  // namespace gradd
