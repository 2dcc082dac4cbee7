// How a StepEngine goes on with another plan.

#include <algorithm>
#include <new>
#include <utility>

#include "core/base/check.h"
#include "core/step/step_engine.h"

namespace gradd {

absl::Status StepEngine::Reserve(std::shared_ptr<UpdatePlan> plan, bool keeps_window,
                                 int64_t kept_steps) {
  std::unique_ptr<Window> window;
  if (keeps_window && window_ == nullptr && next_window_ == nullptr) {
    auto created = NewWindow();
    GRADD_RETURN_IF_ERROR(created.status());
    window = *std::move(created);
  }
  // The present plan goes on until the step on its way is done: slots are there for the larger of
  // the two.
  const int64_t before = memory_.store->state_bytes();
  int64_t bytes = 0;
  SlotVectors slots;
  try {
    slots = plan->slots(change_ ? change_->plan.get() : plan_.get());
    bytes = std::max(
        {StoreBytes(layout_, *plan, kept_steps), StoreBytes(layout_, *plan_, bases_.kept_steps()),
         next_plan_ == nullptr ? 0 : StoreBytes(layout_, *next_plan_, next_kept_steps_),
         change_ ? change_->store_bytes : 0});
  } catch (const std::bad_alloc&) {
    return StateOutOfMemory(run_id_);
  }
  if (!budget_->WithReclaim(MemoryUse::kState, bytes - before,
                            [&] { return memory_.store->ResizeState(bytes); })) {
    // Where it keeps no more than before, something else has grown.
    const bool keeps_more = kept_steps > bases_.kept_steps();
    return StoreTooLarge(run_id_, bytes - before, keeps_more ? kept_steps : 0, layout_, *budget_);
  }
  const SlotVectors& present = change_ ? change_->slots.slots() : store_.slots();
  const auto reserve = [&] {
    try {
      store_.ReserveForSlots(slots, present);
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  };
  if (!budget_->WithReclaim(MemoryUse::kVersions, 0, reserve)) {
    memory_.store->ResizeState(before);
    return StateOutOfMemory(run_id_);
  }
  next_plan_ = std::move(plan);
  next_keeps_window_ = keeps_window;
  next_kept_steps_ = kept_steps;
  if (window != nullptr) next_window_ = std::move(window);
  return absl::OkStatus();
}

bool StepEngine::Change() {
  if (next_plan_ == nullptr || !settled()) return true;
  PlanChange change;
  try {
    change.store_bytes = StoreBytes(layout_, *next_plan_, next_kept_steps_);
    change.slots = store_.BeginChange(next_plan_->slots(plan_.get()));
  } catch (const std::bad_alloc&) {
    // Its blocks are reserved, so that not even the lists of them can be had.
    return false;
  }
  change.plan = std::exchange(next_plan_, nullptr);
  change.keeps_window = next_keeps_window_;
  change.kept_steps = next_kept_steps_;
  memory_.store->EndReservations(ReservedFor::kChange);
  if (change.slots.has_fresh()) {
    change_.emplace(std::move(change));
  } else {
    TakeOver(std::move(change));
  }
  return true;
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
  keeps_window_ = change.keeps_window;
  bases_.Keep(change.kept_steps);
  if (keeps_window_ && window_ == nullptr) window_ = std::move(next_window_);
  next_window_.reset();
  // What is in it makes the next step.
  if (!keeps_window_ && window_ != nullptr && window_->facts().pushes == 0) window_.reset();
  // Nothing is refused here: Reserve() has claimed the larger of the two.
  if (next_plan_ == nullptr) {
    const bool resized = memory_.store->ResizeState(change.store_bytes);
    GRADD_DCHECK(resized, "the plan takes more than was claimed for it");
  }
  guard_.PlanChanged();
  training_snapshot_.reset();  // Another vector may be what workers train at.
}

}  // namespace gradd
