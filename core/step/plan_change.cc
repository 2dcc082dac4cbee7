// How a StepEngine goes on with another plan.

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/step/step_engine.h"

namespace gradd {

absl::Status StepEngine::Reserve(std::shared_ptr<UpdatePlan> plan) {
  // The present plan goes on until the step on its way is done: slots are there for the larger of
  // the two, and what each has allocated for itself twice.
  const int64_t before = memory_.store->state_bytes();
  const int64_t scratch_before = memory_.scratch->bytes();
  const int64_t bytes = std::max({StateBytes(layout_, *plan), StateBytes(layout_, *plan_),
                                  next_plan_ == nullptr ? 0 : StateBytes(layout_, *next_plan_),
                                  change_ ? StateBytes(layout_, *change_->plan) : 0}) +
                        std::min(plan->kept_bytes(), plan_->kept_bytes());
  const int64_t scratch_bytes = plan->scratch_bytes() + plan_->scratch_bytes() +
                                (change_ ? change_->plan->scratch_bytes() : 0);
  if (!budget_->WithReclaim(MemoryUse::kState, bytes - before,
                            [&] { return memory_.store->ResizeState(bytes); })) {
    return StateTooLarge(run_id_, bytes - before, *budget_);
  }
  if (!budget_->WithReclaim(MemoryUse::kScratch, scratch_bytes - scratch_before,
                            [&] { return memory_.scratch->Resize(scratch_bytes); })) {
    memory_.store->ResizeState(before);
    return ScratchTooLarge(run_id_, scratch_bytes - scratch_before, *budget_);
  }
  const bool was_settled = settled();
  const SlotVectors slots = plan->slots(change_ ? change_->plan.get() : plan_.get());
  const SlotVectors& present = change_ ? change_->slots.slots() : store_.slots();
  const auto reserve = [&] {
    try {
      plan->Allocate();
      store_.ReserveForSlots(slots, present);
      return true;
    } catch (const std::bad_alloc&) {
      // As in ReserveForStep(): to get the same anew is no progress.
      if (was_settled) {
        memory_.store->EndReservations();
        memory_.store->FreeUnused();
      }
      return false;
    }
  };
  if (!budget_->WithReclaim(MemoryUse::kVersions, 0, reserve)) {
    memory_.store->ResizeState(before);
    memory_.scratch->Resize(scratch_before);
    return Error(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                 absl::StrCat("run \"", run_id_,
                              "\": the server's machine does not have the memory for the slots"));
  }
  next_plan_ = std::move(plan);
  return absl::OkStatus();
}

void StepEngine::Change() {
  if (!settled()) return;
  if (next_plan_ != nullptr) {
    std::shared_ptr<UpdatePlan> plan = std::exchange(next_plan_, nullptr);
    ParameterStore::SlotChange slots = store_.BeginChange(plan->slots(plan_.get()));
    PlanChange change{std::move(plan), std::move(slots)};
    if (change.slots.has_fresh()) {
      change_.emplace(std::move(change));
    } else {
      TakeOver(std::move(change));
    }
  }
  memory_.store->EndReservations();
}

void StepEngine::Fill() { store_.FillChange(change_->slots, executor_.get()); }

void StepEngine::Adopt() {
  PlanChange done = std::move(*change_);
  change_.reset();
  TakeOver(std::move(done));
}

void StepEngine::TakeOver(PlanChange change) {
  change.plan->Continue(*plan_);
  store_.Adopt(std::move(change.slots));
  plan_ = std::move(change.plan);
  // Nothing is refused here: Reserve() has claimed the larger of the two.
  if (next_plan_ == nullptr) {
    const bool resized = memory_.store->ResizeState(StateBytes(layout_, *plan_)) &&
                         memory_.scratch->Resize(plan_->scratch_bytes());
    GRADD_DCHECK(resized, "the plan takes more than was claimed for it");
  }
  guard_.PlanChanged();
  training_snapshot_.reset();  // Another vector may be what workers train at.
}

}  // namespace gradd
