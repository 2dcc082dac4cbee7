// How a StepEngine is copied, and goes on from a copy.

#include "core/step/engine_vectors.h"

#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/error.h"
#include "core/step/step_engine.h"

namespace gradd {

void StepEngine::BeginCopy(EngineVectors* copy) {
  GRADD_DCHECK(settled(), "a copy begins while a step, or a change, is on its way");
  on_its_way_ = OnItsWay::kCopy;
  copy->snapshot = store_.TakeSnapshot(SnapshotContents::kAll);
}

absl::Status StepEngine::Copy(EngineVectors* copy) {
  const bool has_window = window_ != nullptr && window_->facts().pushes > 0;
  const int64_t bytes =
      plan_->copied_bytes() + (has_window ? Window::BytesFor(layout_.element_count()) : 0);
  copy->claim = budget_->Take(MemoryUse::kScratch, bytes);
  if (copy->claim == nullptr) return ScratchTooLarge(run_id_, bytes, *budget_);
  try {
    copy->plan = plan_->state();
    if (has_window) copy->window = window_->Copy();
  } catch (const std::bad_alloc&) {
    return StateOutOfMemory(run_id_);
  }
  return absl::OkStatus();
}

absl::Status StepEngine::Restore(const EngineVectors& vectors, const WindowFacts& window,
                                 bool keeps_window) {
  GRADD_RETURN_IF_ERROR(store_.Restore(*vectors.snapshot));
  GRADD_RETURN_IF_ERROR(plan_->Restore(vectors.plan));
  step_ = store_.step();
  if (keeps_window || window.pushes > 0) {
    GRADD_RETURN_IF_ERROR(BeginWithWindow());
    keeps_window_ = keeps_window;
    GRADD_RETURN_IF_ERROR(window_->Restore(vectors.window, window));
  } else if (!vectors.window.empty()) {
    return InvalidArgument("STATE_INVALID",
                           absl::StrCat("window: ", vectors.window.size(),
                                        " blocks, none expected where nothing lies in it"));
  }
  guard_.Measure(store_, executor_.get());
  return absl::OkStatus();
}

}  // namespace gradd
