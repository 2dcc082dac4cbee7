#include "core/step/claimed_plan.h"

#include <new>
#include <utility>

#include "core/step/run_memory.h"

namespace gradd {
namespace {

struct ClaimedPlan {
  std::shared_ptr<MemoryBudget::Claim> kept;
  std::shared_ptr<MemoryBudget::Claim> scratch;
  std::shared_ptr<UpdatePlan> plan;  // Last, so that its memory goes before the claims do.
};

}  // namespace

absl::StatusOr<std::shared_ptr<UpdatePlan>> ClaimPlan(const std::string& run_id,
                                                      std::shared_ptr<UpdatePlan> plan,
                                                      MemoryBudget* budget) {
  auto claimed = std::make_shared<ClaimedPlan>();
  claimed->plan = std::move(plan);
  UpdatePlan* const raw = claimed->plan.get();
  claimed->kept = budget->Take(MemoryUse::kState, raw->kept_bytes());
  if (claimed->kept == nullptr) return StateTooLarge(run_id, raw->kept_bytes(), *budget);
  claimed->scratch = budget->Take(MemoryUse::kScratch, raw->scratch_bytes());
  if (claimed->scratch == nullptr) return ScratchTooLarge(run_id, raw->scratch_bytes(), *budget);
  const bool allocated = budget->WithReclaim(MemoryUse::kState, 0, [raw] {
    try {
      raw->Allocate();
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  });
  if (!allocated) return StateOutOfMemory(run_id);
  return std::shared_ptr<UpdatePlan>(claimed, raw);
}

}  // namespace gradd
